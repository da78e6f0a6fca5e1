"""What a search is: one frozen dataclass, read from the command line or from the folder of a search to be resumed."""

from __future__ import annotations

import math
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from data.errors import InputError
from data.plan import DataPlan
from model.macs import Budget
from model.train_config import TrainConfig
from search.dimensions import Dimension
from search.priors import PriorsName
from search.sampler import SamplerName
from search.space import F_HIDDEN, T_HIDDEN, Space, paper_sizes, parse_sizes

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

CODE = "code"
"""What `search.json` has beside the configuration: the code of each session, see `search.run_folder`."""

KEEPS = ("front", "all")
"""Whose weights a search keeps: those of the front, its near rivals and whoever may still train; or all."""

RESERVED = re.compile(r"mlflow\.db.*|mlflow-artifacts|cache", re.IGNORECASE)
"""What lies in the storage root and is no search; SQLite lays files with longer names beside its own."""


@dataclass(frozen=True)
class SearchConfig:
    """A search.

    Args:
        name: of its run folder and of its MLflow parent run.
        budget: as written by the user, see `Budget.parse`.
        preset: key of `search.preset.PRESETS`.
        data: what students learn from.
        train: settings of every student's training; size, method, schedule and start are the student's own. With a
            time budget `epochs` gives way to what fits.
        methods, schedules, inits: what may be tried.
        sizes: the sizes to try as text; None for all that fit the budget.
        sampler: key of `search.sampler.SAMPLERS`.
        repeats: trainings of each configuration.
        trials: students at most.
        score_every: epochs between two PESQ scores on a student's way.
        time_budget: seconds for the whole command; None for no limit.
        teacher: a weights file, "none", or None for the packaged one (demo) or one trained first (own corpora).
        teacher_size: of a teacher trained first.
        teacher_time: seconds for its training.
        cpus_per_trial, gpus_per_trial: what Ray reserves for a student.
        cache_size: bytes that the teacher's outputs may take on disk.
        address: of a Ray cluster; None for this machine alone.
        storage: root of the run folders.
        tracking_uri: MLflow store; None for SQLite in the storage root.
        seed: of everything random.
        f_hidden, t_hidden: hidden units of the grid of sizes; None for the usual ones.
        bi_freq: whether the sizes of the grid run over frequency in both directions.
        dimensions: other settings of the training that are varied.
        priors: whether the search begins with what the paper's findings speak for.
        halving: whether students wait at rungs, see `search.halving`; None where it is worth it.
        repeat_front: trainings by other seeds that the members of the front and their near rivals get at the end.
        patience: finished students without a gain after which the search ends; 0 for no such end.
        keep_checkpoints: whose weights are kept, one of `KEEPS`.
        warm_start: name of an earlier search whose scores inform the sampler, see `search.warm_start`.
    """

    name: str
    budget: str
    preset: str
    data: DataPlan
    train: TrainConfig
    methods: tuple[str, ...]
    schedules: tuple[str, ...]
    inits: tuple[str, ...]
    sizes: tuple[str, ...] | None
    sampler: SamplerName
    repeats: int
    trials: int
    score_every: int
    time_budget: float | None
    teacher: str | None
    teacher_size: str | None
    teacher_time: float | None
    cpus_per_trial: float
    gpus_per_trial: float
    cache_size: float
    address: str | None
    storage: str
    tracking_uri: str | None
    seed: int
    f_hidden: tuple[int, ...] | None = None
    t_hidden: tuple[int, ...] | None = None
    bi_freq: bool = False
    dimensions: tuple[Dimension, ...] = ()
    priors: PriorsName = "paper"
    halving: bool | None = None
    repeat_front: int = 0
    patience: int = 0
    keep_checkpoints: str = "front"
    warm_start: str | None = None

    def __post_init__(self) -> None:
        if NAME.fullmatch(self.name) is None:
            raise InputError(
                f"--name {self.name!r} cannot be a folder's name here; "
                "use up to 64 letters, digits, dots, dashes and underscores, beginning with a letter or digit"
            )
        tracked = (self.tracking_uri or "").removeprefix("sqlite:///")
        if RESERVED.fullmatch(self.name) or tracked == str(self.folder):
            raise InputError(
                f"--name {self.name} is taken in {self.storage}, by the MLflow store, its artifacts or a shared cache; "
                "choose another"
            )
        if self.seed < 0:
            raise InputError(f"--seed must be 0 or more but is {self.seed}")
        if self.score_every < 1:
            raise InputError(f"--score-every must be at least 1 but is {self.score_every}")
        if self.trials < 1:
            raise InputError(f"--trials must be at least 1 but is {self.trials}")
        for flag, number in (("repeat-front", self.repeat_front), ("patience", self.patience)):
            if number < 0:
                raise InputError(f"--{flag} must be 0 or more but is {number}")
        for flag, value, lowest in (("cpus", self.cpus_per_trial, 0.0), ("gpus", self.gpus_per_trial, -1e-9)):
            if not (math.isfinite(value) and value > lowest):
                raise InputError(f"--{flag}-per-trial cannot be {value:g}; give a positive number")

    @property
    def folder(self) -> Path:
        """The run folder, absolute: trials run elsewhere."""
        return Path(self.storage).absolute() / self.name

    def space(self, microphones: int) -> Space:
        """What may be tried. Of a grid without sizes of its own, those of the paper's.

        Raises:
            InputError: nothing fits the budget, or a choice that does not exist.
        """
        budget = Budget.parse(self.budget)
        sizes = None if self.sizes is None else parse_sizes(",".join(self.sizes), microphones)
        if self.sampler == "grid" and sizes is None and self.f_hidden is None and self.t_hidden is None:
            sizes = paper_sizes(budget, microphones, bi_freq=self.bi_freq)
        return Space(
            budget,
            self.methods,
            self.schedules,
            self.inits,
            sizes,
            bi_freq=self.bi_freq,
            microphones=microphones,
            repeats=self.repeats,
            f_hidden=F_HIDDEN if self.f_hidden is None else self.f_hidden,
            t_hidden=T_HIDDEN if self.t_hidden is None else self.t_hidden,
            dimensions=self.dimensions,
            priors=self.priors,
        )

    def to_dict(self) -> dict[str, Any]:
        """As JSON-serialisable values."""
        return asdict(self) | {"data": self.data.to_dict()}

    def params(self) -> dict[str, Any]:
        """All settings under flat names, such as `train_lr`, as MLflow wants its parameters."""
        nested = {"train": self.train.to_dict(), "data": asdict(self.data)}
        flat = {key: value for key, value in self.to_dict().items() if key not in (*nested, "dimensions")}
        flat |= {f"space_{one.name}": one.options for one in self.dimensions}
        flat |= {f"{part}_{key}": value for part, values in nested.items() for key, value in values.items()}
        return {key: value for key, value in flat.items() if value is not None}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> SearchConfig:
        """The inverse of `to_dict`, also after a turn as JSON, and of what a run folder adds to it.

        Raises:
            InputError: fields missing or unknown.
        """
        try:
            values = {name: value for name, value in values.items() if name != CODE}
            lists = {
                name: None if values[name] is None else tuple(values[name])
                for name in ("methods", "schedules", "inits", "sizes", *({"f_hidden", "t_hidden"} & values.keys()))
            }
            made = {
                "data": DataPlan.from_dict(values["data"]),
                "train": TrainConfig.from_dict(values["train"]),
                "dimensions": tuple(Dimension(**one) for one in values.get("dimensions", ())),
            }
            return cls(**(values | lists | made))
        except (AttributeError, KeyError, TypeError) as error:
            raise InputError(
                f"the search's configuration is not whole ({error}); it was written by another version"
            ) from None
