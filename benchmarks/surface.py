"""A surface of validation PESQ over students' configurations and epochs, from which learning curves can be drawn.

It stands for trainings where a search shall be tested in seconds: `search_efficiency.py` asks it as a search asks Ray.
Every surface has `mean`, `draw` and `extrapolates`; this one is fitted to recorded curves (`surface_fit.py`), the one
in `surface_synthetic.py` is made up, and `replay.py` gives back recorded curves alone.

What an epoch is: epochs are counted from 1 in the training's last stage. Two-stage KD trains as many epochs before
(`epochs_before`), counted from 1 in `first`; where they leave the output untrained their PESQ means nothing, and no
surface gives any. The `epochs` of a training are those of a stage: its cosine schedule ends there, so epoch 5 of 5 is
not epoch 5 of 10. Alpha schedules other than two-stage were not recorded; the surfaces take no notice of the schedule.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.hull import inside
from benchmarks.surface_terms import Form, decades, split, terms
from data.errors import InputError
from data.files import plain, read_json, write_json
from model.distill import METHODS
from model.ftjnf import Size
from model.macs import paper_gmac
from search.space import Choice

Floats = NDArray[np.float64]
FITTED = Path(__file__).parent / "curves" / "surface.json"
"""The surface fitted to the recorded curves."""


class PesqSurface(Protocol):
    """What a simulated search asks."""

    @property
    def unprocessed(self) -> float:
        """Validation PESQ of the noisy input: the hypervolume's lower end."""

    @property
    def teacher(self) -> float:
        """Validation PESQ of the teacher."""

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods that it knows."""

    @property
    def inits(self) -> tuple[str, ...]:
        """The starts that it knows."""

    def mean(self, size: Size, method: str, init: str, epoch: int, epochs: int) -> float:
        """Expected validation PESQ after an epoch of the last stage.

        Args:
            size: of the student.
            method, init: of those above.
            epoch: from 1 to `epochs`.
            epochs: of each stage.

        Raises:
            InputError: a method or start that the surface does not know, or an epoch out of range.
        """

    def first(self, size: Size, method: str, init: str, epoch: int, epochs: int) -> float:
        """Expected validation PESQ after an epoch of stage 1 of two-stage KD; NaN where it trains no output.

        Arguments and errors are those of `mean`.
        """

    def draw(self, choice: Choice, epochs: int, rng: np.random.Generator) -> Floats:
        """(`epochs_before` + epochs,) validation PESQ after each epoch of one training, its seed's luck included.

        `choice.repeat` plays no part: another call is another seed.
        """

    def extrapolates(self, size: Size, epochs: int | None = None) -> bool:
        """Whether a size lies outside of the range of the recorded ones, or a training is longer than any of them."""


def epochs_before(choice: Choice, epochs: int) -> int:
    """Epochs of stage 1, which a training costs before its last stage begins: `epochs` for two-stage KD, else 0."""
    return epochs if choice.alpha_schedule == "two-stage" and choice.kd_method != "none" else 0


@dataclass(frozen=True)
class Noise:
    """How trainings of one configuration differ that started from other seeds.

    PESQ = mean + luck + wander: luck is one draw a training, wander changes from epoch to epoch.

    Args:
        luck: standard deviation of what stays.
        wander: standard deviation of what changes.
        memory: correlation of the wander of one epoch with that of the next.
        trainings: how many of configurations that were repeated it was measured on; 0 if the deviation is that of the
            fit's residuals, as nothing was repeated.
        correlations: measured correlation of two epochs' deviations, 1, 2, ... epochs apart.
    """

    luck: float
    wander: float
    memory: float = 0.0
    trainings: int = 0
    correlations: tuple[float, ...] = ()

    @property
    def std(self) -> float:
        """Standard deviation of one epoch's PESQ over seeds."""
        return math.hypot(self.luck, self.wander)

    def draw(self, epochs: int, rng: np.random.Generator) -> Floats:
        """(epochs,) deviations of one training from the mean."""
        steps = rng.standard_normal(epochs) * self.wander
        for i in range(1, epochs):
            steps[i] = self.memory * steps[i - 1] + math.sqrt(1 - self.memory**2) * steps[i]
        return rng.standard_normal() * self.luck + steps


@dataclass(frozen=True)
class Surface:
    """PESQ as a sum of terms, each with a coefficient that can be read; see `terms`.

    Args:
        form: the formula.
        coefficients: by the names that `terms` gives: `centre` is what a slice without KD of 0.2 GMAC comes to in 5
            epochs, `per_decade` what ten times the MACs add, `linear` what that method adds to `none`,
            `slice_to_go` what a slice lacks after its first epoch, `random` what a random start never makes up.
        taus: time constants by start.
        noise: of seeds.
        stage_1: by method what stage 1 of two-stage KD adds to `none` after as many epochs, at 0.2 GMAC and for ten
            times the MACs. A method that was not scored there is taken to add nothing, and seeds to differ as in the
            last stage; random starts learned without KD alone, and are taken to be like slices in this.
        hull: corners, in order, of the recorded sizes' convex hull in (log10 GMAC, F/(F+T)).
        longest: epochs a stage of the longest recorded training.
        methods, inits: recorded ones.
        unprocessed, teacher: validation PESQ beside the students.
        quality: how well it fits; what `surface_fit.py` reports.
    """

    form: Form
    coefficients: Mapping[str, float]
    taus: Mapping[str, float]
    noise: Noise
    hull: tuple[tuple[float, float], ...]
    longest: int
    methods: tuple[str, ...]
    inits: tuple[str, ...]
    unprocessed: float
    teacher: float
    stage_1: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    quality: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def mean(self, size: Size, method: str, init: str, epoch: int, epochs: int) -> float:
        """See `PesqSurface.mean`."""
        check(self, method, init, epoch, epochs)
        found = terms(self.form, size, method, init, epoch, epochs, self.taus)
        return sum(self.coefficients.get(name, 0.0) * value for name, value in found.items())

    def first(self, size: Size, method: str, init: str, epoch: int, epochs: int) -> float:
        """See `PesqSurface.first`."""
        check(self, method, init, epoch, epochs)
        if not METHODS[method].trains_output:
            return math.nan
        adds, per_decade = self.stage_1.get(method, (0.0, 0.0))
        return self.mean(size, "none", init, epoch, epochs) + adds + per_decade * decades(size)

    def draw(self, choice: Choice, epochs: int, rng: np.random.Generator) -> Floats:
        """See `PesqSurface.draw`."""
        return drawn(self, self.noise, choice, epochs, rng)

    def extrapolates(self, size: Size, epochs: int | None = None) -> bool:
        """See `PesqSurface.extrapolates`."""
        point = (math.log10(paper_gmac(size)), split(size))
        return not inside(point, self.hull) or (epochs is not None and epochs > self.longest)

    def write(self, path: Path = FITTED) -> None:
        """Writes the surface as JSON."""
        write_json(path, plain(asdict(self)))

    @classmethod
    def read(cls, path: Path = FITTED) -> Surface:
        """Reads what `write` wrote.

        Raises:
            InputError: the file is missing, or holds no surface.
        """
        values = read_json(path)
        try:
            noise = values["noise"] | {"correlations": tuple(values["noise"]["correlations"])}
            made = {"form": Form(**values["form"]), "noise": Noise(**noise)}
            made |= {name: tuple(values[name]) for name in ("methods", "inits")}
            made |= {"stage_1": {name: (adds, slope) for name, (adds, slope) in values["stage_1"].items()}}
            return cls(**values | made | {"hull": tuple((x, y) for x, y in values["hull"])})
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{path} holds no surface ({error}); fit it anew: python benchmarks/surface_fit.py"
            ) from None


def check(surface: PesqSurface, method: str, init: str, epoch: int, epochs: int) -> None:
    """Refuses what a surface does not know.

    Raises:
        InputError: a method or start that was not recorded, or an epoch out of range.
    """
    for kind, value, known in (("method", method, surface.methods), ("start", init, surface.inits)):
        if value not in known:
            raise InputError(f"the surface knows no {kind} {value!r}; use {', '.join(known)}")
    if not 1 <= epoch <= epochs:
        raise InputError(f"epoch {epoch} of {epochs} does not exist; epochs are counted from 1")


def drawn(surface: PesqSurface, noise: Noise, choice: Choice, epochs: int, rng: np.random.Generator) -> Floats:
    """(epochs_before + epochs,) mean and noise of one training."""
    size, method, init = choice.size, choice.kd_method, choice.init
    means = [surface.first(size, method, init, epoch, epochs) for epoch in range(1, epochs_before(choice, epochs) + 1)]
    means += [surface.mean(size, method, init, epoch, epochs) for epoch in range(1, epochs + 1)]
    return np.array(means) + noise.draw(len(means), rng)
