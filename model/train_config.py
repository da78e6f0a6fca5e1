"""What a training is: the settings that make the same student again. The defaults are the paper's (section 5.2)."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

from data.errors import InputError
from model.ftjnf import Size
from model.gram import Gram
from model.precision import ARITHMETICS
from model.schedule import Stage, plan, stage_epochs

LR_SCHEDULES = ("plateau", "cosine")
STARTS = ("random", "slice", "weights")


@dataclass(frozen=True)
class TrainConfig:
    """What a training is; the defaults are the paper's.

    Args:
        size: of the network.
        method: KD method, a key of `model.distill.METHODS`.
        schedule: alpha schedule, a key of `model.schedule.SCHEDULES`.
        init: "random", "slice" of the teacher, or "weights" of a file; here only told, the caller gives the start.
        alpha: of the schedule `constant`.
        ramp: share of the stage's epochs that the ramps of `linear` and `cosine` take; None for half.
        gram: how eq. 7 is evaluated. Its random positions are drawn anew in each epoch for fresh scenes; for fixed
            sets each clip has `model.target_plan.POSITION_SETS` draws, with which the epochs take turns.
        soft_scale: "first" or "none", see `TermScales`.
        epochs: at most, in each stage.
        soft_share: share of the epochs of both stages of `two-stage` that the first one has; None for equal stages.
        batch: examples a step.
        lr: Adam's learning rate at the start of each stage.
        lr_schedule: "plateau" halves it when the validation loss stalls and stops early; "cosine" takes it to zero over
            the stage's epochs, which short trainings gain from.
        halve_after: epochs without improvement before the learning rate is halved; those of a ramp do not count.
        stop_after: epochs without improvement before a stage ends; those of a ramp do not count.
        clip_norm: largest norm of the gradient; None for no limit, as in the paper.
        precision: "fp32" or "bf16" products in the LSTMs.
        nested: also train random leading slices in every step, see `model.nested`; for teachers.
        seed: of the start, the order of examples and the positions.
    """

    size: Size
    method: str = "none"
    schedule: str = "two-stage"
    init: str = "random"
    alpha: float = 0.5
    ramp: float | None = None
    gram: Gram = field(default_factory=Gram)
    soft_scale: str = "first"
    epochs: int = 100
    soft_share: float | None = None
    batch: int = 4
    lr: float = 5e-4
    lr_schedule: str = "plateau"
    halve_after: int = 3
    stop_after: int = 6
    clip_norm: float | None = None
    precision: str = "fp32"
    nested: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        _ = self.stages  # has its own complaints
        if self.lr_schedule not in LR_SCHEDULES:
            raise InputError(
                f"learning-rate schedule {self.lr_schedule!r} is unknown; choose {' or '.join(LR_SCHEDULES)}"
            )
        if self.init not in STARTS:
            raise InputError(f"start {self.init!r} is unknown; choose one of {', '.join(STARTS)}")
        if self.precision not in ARITHMETICS:
            raise InputError(
                f"precision {self.precision!r} cannot be trained in; choose {' or '.join(ARITHMETICS)}"
                " (`model.precision.choose_precision` turns auto into one of them)"
            )
        for name in ("epochs", "batch", "halve_after", "stop_after"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1 but is {getattr(self, name)}")
        if not (math.isfinite(self.lr) and self.lr > 0):
            raise InputError(f"the learning rate must be a positive number but is {self.lr}")
        if self.clip_norm is not None and not self.clip_norm > 0:
            raise InputError(f"the largest norm of the gradient must be positive but is {self.clip_norm}")
        if self.nested and (self.method != "none" or self.size.bi_freq):
            raise InputError(
                "nested training is for teachers that run over frequency in one direction: it takes the method none "
                f"and a size without bi, not {self.method} and {self.size}"
            )
        if self.seed < 0:
            raise InputError(f"the seed must not be negative but is {self.seed}")

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages of this training."""
        return plan(self.method, self.schedule, self.alpha, self.ramp, self.soft_share)

    @property
    def stage_epochs(self) -> tuple[int, ...]:
        """The most epochs of each stage."""
        return stage_epochs(self.stages, self.epochs)

    def to_dict(self) -> dict[str, Any]:
        """As JSON-serialisable values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TrainConfig:
        """The inverse of `to_dict`."""
        return cls(**(values | {"size": Size(**values["size"]), "gram": Gram(**values["gram"])}))
