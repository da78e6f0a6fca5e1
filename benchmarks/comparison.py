"""Whether two kinds of training differ: mean PESQ of each, their difference, and its interval over clips and seeds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.curve import DRAWS, Curve, repeats

Floats = NDArray[np.float64]
LEVEL = 0.95


@dataclass(frozen=True)
class SeedSpread:
    """How final PESQ differs between seeds of one configuration.

    Args:
        std: standard deviation, pooled over all configurations that were repeated; 0 without any.
        freedom: degrees of freedom behind it: trainings less configurations.
    """

    std: float
    freedom: int

    @classmethod
    def of(cls, curves: Sequence[Curve]) -> SeedSpread:
        """That of recorded curves.

        A single configuration has too few repeats to tell its own; that all share one is what the interval assumes.
        """
        groups = [[curve.pesq for curve in group] for group in repeats(curves).values() if len(group) > 1]
        freedom = sum(len(group) - 1 for group in groups)
        squares = sum(float(np.var(group)) * len(group) for group in groups)
        return cls(math.sqrt(squares / freedom) if freedom else 0.0, freedom)

    def draws(self, share: float, rng: np.random.Generator) -> Floats:
        """(DRAWS,) errors of a mean over seeds, with the tails that an estimated deviation asks for (Student's t).

        Args:
            share: its variance as a share of one training's: 1/n for a mean of n.
            rng: draws them.
        """
        if not self.freedom:
            return np.zeros(DRAWS)
        return self.std * math.sqrt(share) * rng.standard_t(self.freedom, DRAWS)


@dataclass(frozen=True)
class Difference:
    """One kind of training against another.

    Args:
        mean, other: mean validation PESQ of each, over seeds.
        low, high: ends of the 95 % interval of `mean - other`.
        seeds: trainings of each.
        judged: whether the interval holds what seeds do; without any repeat it is over clips alone, which tells two
            networks apart, but not two ways of training.
    """

    mean: float
    other: float
    low: float
    high: float
    seeds: tuple[int, int]
    judged: bool = True

    @property
    def value(self) -> float:
        """The difference of the means."""
        return self.mean - self.other

    @property
    def apart(self) -> bool:
        """Whether the interval leaves zero out, seeds and all."""
        return self.judged and (self.low > 0 or self.high < 0)

    @property
    def better(self) -> bool:
        """Whether the first is above the other for all that clips and seeds say."""
        return self.apart and self.low > 0

    def text(self) -> str:
        """`+0.012 (-0.003 to +0.027), not told apart`."""
        verdict = ("better" if self.better else "worse") if self.apart else "not told apart"
        verdict = verdict if self.judged else "one seed"
        return f"{self.value:+.3f} ({self.low:+.3f} to {self.high:+.3f}), {verdict}"


def compare(pairs: Iterable[tuple[Sequence[Curve], Sequence[Curve]]], seeds: SeedSpread, seed: int = 0) -> Difference:
    """The mean difference of some pairs, each of repeats of one configuration against repeats of another.

    Clips are drawn with replacement, the same for all trainings, as all were scored on the same; on top of that comes
    what the choice of seeds adds to the means.

    Args:
        pairs: for instance one of a method and `none` at one size, or one at each size.
        seeds: how trainings differ.
        seed: of the draws of seeds.
    """
    found = list(pairs)
    ours = np.mean([_redrawn(one) for one, _ in found], axis=0)
    others = np.mean([_redrawn(other) for _, other in found], axis=0)
    share = sum(1 / len(one) + 1 / len(other) for one, other in found) / len(found) ** 2
    low, high = np.quantile(
        ours - others + seeds.draws(share, np.random.default_rng(seed)), [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    )
    return Difference(
        mean=float(np.mean([mean_pesq(one) for one, _ in found])),
        other=float(np.mean([mean_pesq(other) for _, other in found])),
        low=float(low),
        high=float(high),
        seeds=(sum(len(one) for one, _ in found), sum(len(other) for _, other in found)),
        judged=seeds.freedom > 0,
    )


def mean_pesq(curves: Sequence[Curve]) -> float:
    """Mean over seeds."""
    return float(np.mean([curve.pesq for curve in curves]))


def seed_interval(curves: Sequence[Curve], seeds: SeedSpread, seed: int = 0) -> tuple[float, float]:
    """95 % interval of the mean over seeds, on these clips."""
    errors = seeds.draws(1 / len(curves), np.random.default_rng(seed))
    low, high = np.quantile(mean_pesq(curves) + errors, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _redrawn(curves: Sequence[Curve]) -> Floats:
    """(DRAWS,) mean over seeds of PESQ over the drawn clips."""
    return np.mean([curve.redrawn for curve in curves], axis=0)
