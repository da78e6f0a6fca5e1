"""A made-up surface of PESQ: exact MACs, diminishing returns, a best split, effects of the method; with known truth.

It has the face of the fitted one (`benchmarks.surface`), so that a search can be tested on both. Its figures are of the
kind that the paper reports on its axis: some 0.3 PESQ from the smallest to the teacher, KD that pays for large students
and costs small ones, and noise of 0.03 between seeds. It is evidence about searches, not about students.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from benchmarks.surface import Floats, Noise, check, drawn
from benchmarks.surface_terms import split
from model.distill import METHODS
from model.ftjnf import Size
from model.macs import paper_gmac
from search.space import Choice

NOISE = Noise(luck=0.024, wander=0.018, memory=0.3)
"""0.03 between seeds, most of which stays with a training."""


@dataclass(frozen=True)
class SyntheticSurface:
    """PESQ = low + gain * (1 - (1 + MACs/half)^-power) - split_cost * (split - best)^2 + KD - what is to be learnt.

    Args:
        low: PESQ of a network without MACs.
        gain: between that and one of endless size.
        half: GMAC at which returns begin to diminish.
        power: how fast they do.
        best_split: F/(F+T) of the best students.
        split_cost: PESQ that a split of 0 or 1 would lose, about.
        effects: by method, PESQ that it adds at 1 GMAC and what it adds for a decade more.
        to_go: by start, PESQ that is missing before the first epoch and the time constant in shares of the training.
        stage_1: what stage 1 of two-stage KD adds to `none` after as many epochs, where it trains the output; recorded
            students have -0.01 to -0.06.
        noise: of seeds.
        unprocessed, teacher: PESQ beside the students.
    """

    low: float = 1.1
    gain: float = 1.0
    half: float = 0.03
    power: float = 0.25
    best_split: float = 0.74
    split_cost: float = 0.8
    effects: tuple[tuple[str, float, float], ...] = (
        ("none", 0.0, 0.0),
        ("mask", 0.0, 0.01),
        ("linear", 0.03, 0.05),
        ("f-lstm", -0.03, 0.0),
        ("t-lstm", 0.035, 0.06),
        ("multi", 0.025, 0.05),
    )
    to_go: tuple[tuple[str, float, float], ...] = (("slice", 0.1, 0.2), ("random", 0.4, 0.35))
    stage_1: float = -0.03
    noise: Noise = NOISE
    unprocessed: float = 1.1
    teacher: float = 1.75

    @property
    def methods(self) -> tuple[str, ...]:
        """See `PesqSurface.methods`."""
        return tuple(name for name, _, _ in self.effects)

    @property
    def inits(self) -> tuple[str, ...]:
        """See `PesqSurface.inits`."""
        return tuple(name for name, _, _ in self.to_go)

    def mean(self, size: Size, method: str, init: str, epoch: int, epochs: int) -> float:
        """See `PesqSurface.mean`."""
        check(self, method, init, epoch, epochs)
        gmac = paper_gmac(size)
        _, at_one, slope = next(effect for effect in self.effects if effect[0] == method)
        _, missing, tau = next(start for start in self.to_go if start[0] == init)
        large = self.gain * (1 - (1 + gmac / self.half) ** -self.power)
        lopsided = self.split_cost * (split(size) - self.best_split) ** 2
        left = missing * math.exp(-epoch / epochs / tau)
        return max(self.low + large - lopsided + at_one + slope * math.log10(gmac) - left, 1.02)

    def first(self, size: Size, method: str, init: str, epoch: int, epochs: int) -> float:
        """See `PesqSurface.first`."""
        check(self, method, init, epoch, epochs)
        plain = self.mean(size, "none", init, epoch, epochs)
        return max(plain + self.stage_1, 1.02) if METHODS[method].trains_output else math.nan

    def draw(self, choice: Choice, epochs: int, rng: np.random.Generator) -> Floats:
        """See `PesqSurface.draw`."""
        return drawn(self, self.noise, choice, epochs, rng)

    def extrapolates(self, size: Size, epochs: int | None = None) -> bool:
        """See `PesqSurface.extrapolates`; a formula that is the truth holds everywhere."""
        return False
