"""The recorded curves as a lookup: what was trained, exactly as it went, and nothing else."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from benchmarks.curve import Curve, usual
from benchmarks.surface import Floats
from data.errors import InputError
from model.ftjnf import Size
from search.space import Choice


class Replay:
    """A surface of the recorded configurations alone; see `benchmarks.surface.PesqSurface`.

    Args:
        curves: recorded ones; those of the settings that most have are used.

    Raises:
        InputError: there are none.
    """

    def __init__(self, curves: Sequence[Curve]) -> None:
        self._curves: dict[tuple[str, str, str, int], list[Curve]] = {}
        for curve in usual(curves):
            choice = curve.choice
            key = (str(choice.size), choice.kd_method, choice.init, curve.train["epochs"])
            self._curves.setdefault(key, []).append(curve)
        if not self._curves:
            raise InputError("no curve was recorded; run: python benchmarks/record.py RUN")
        first = next(iter(self._curves.values()))[0]
        self.unprocessed = float(first.beside["unprocessed"] or 1.0)
        self.teacher = float(first.beside["teacher"] or self.unprocessed + 1.0)
        self.methods = tuple(sorted({key[1] for key in self._curves}))
        self.inits = tuple(sorted({key[2] for key in self._curves}))

    def choices(self, epochs: int) -> list[Choice]:
        """The configurations recorded with so many epochs a stage, repeats left out, the cheapest first."""
        found = {key: group[0] for key, group in self._curves.items() if key[3] == epochs}
        cheapest_first = sorted(found.values(), key=lambda curve: curve.gmac)
        return [
            Choice.of(choice.size, choice.kd_method, choice.alpha_schedule, choice.init)
            for choice in (curve.choice for curve in cheapest_first)
        ]

    def table(self, size: Size, method: str, init: str, epochs: int, *, first: bool = False) -> Floats:
        """(repeats, epochs) recorded PESQ of the last stage; an epoch that was not scored has its predecessor's.

        Args:
            size, method, init, epochs: of the configuration.
            first: whether to give stage 1 instead; (repeats, 0) where there was none.

        Raises:
            InputError: the configuration was not recorded.
        """
        group = self._curves.get((str(size), method, init, epochs))
        if group is None:
            raise InputError(
                f"{size} with {method} from {init} in {epochs} epochs was not recorded; replay has recorded ones only"
            )
        return np.array([_without_gaps(curve.first_stage if first else curve.last_stage) for curve in group])

    def mean(self, size: Size, method: str, init: str, epoch: int, epochs: int) -> float:
        """Mean over the recorded seeds."""
        if not 1 <= epoch <= epochs:
            raise InputError(f"epoch {epoch} of {epochs} does not exist; epochs are counted from 1")
        return float(self.table(size, method, init, epochs)[:, epoch - 1].mean())

    def first(self, size: Size, method: str, init: str, epoch: int, epochs: int) -> float:
        """Mean over the recorded seeds in stage 1, NaN where there was none; see `PesqSurface.first`."""
        self.mean(size, method, init, epoch, epochs)  # has its own complaints
        table = self.table(size, method, init, epochs, first=True)
        return float(table[:, epoch - 1].mean()) if table.size else math.nan

    def draw(self, choice: Choice, epochs: int, rng: np.random.Generator) -> Floats:
        """(stage 1 and last stage,) one recorded seed's curve: that of `choice.repeat`, or beyond the last one any."""
        key = (choice.size, choice.kd_method, choice.init, epochs)
        table = np.concatenate([self.table(*key, first=True), self.table(*key)], axis=1)
        return table[choice.repeat] if choice.repeat < len(table) else table[rng.integers(len(table))]

    def extrapolates(self, size: Size, epochs: int | None = None) -> bool:
        """Whether no curve of this size, in so many epochs, was recorded."""
        return not any(key[0] == str(size) and epochs in (None, key[3]) for key in self._curves)


def _without_gaps(values: Floats) -> Floats:
    filled = values.copy()
    for i in range(1, len(filled)):
        if np.isnan(filled[i]):
            filled[i] = filled[i - 1]
    return filled
