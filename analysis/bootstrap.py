"""Confidence in scores: the project's one number from a table of clips and SNRs, and how sure it is by bootstrap.

`scores` is (clips, SNRs): the same clips at each SNR, NaN where a clip could not be scored. With several trainings of
one configuration it is (seeds, clips, SNRs).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Interval = tuple[float, float]

_AT_ONCE = 2**22
"""Scores that are sorted at a time, for what that takes of memory."""


@dataclass(frozen=True)
class SeedSpread:
    """How one number differs between seeds of one configuration, pooled over all configurations that have several.

    Args:
        std: standard deviation; 0 without any.
        freedom: degrees of freedom behind it, trainings less configurations; 0 if nothing is known of seeds.
    """

    std: float
    freedom: int

    @classmethod
    def of(cls, groups: Iterable[Sequence[float]]) -> SeedSpread:
        """That of some configurations, each with its number from each seed; those that are not finite are left out."""
        known = [np.array([one for one in group if math.isfinite(one)]) for group in groups]
        several = [group for group in known if len(group) > 1]
        freedom = sum(len(group) - 1 for group in several)
        squares = sum(float(np.sum((group - group.mean()) ** 2)) for group in several)
        return cls(math.sqrt(squares / freedom) if freedom else 0.0, freedom)

    def draws(self, share: float, n: int, rng: np.random.Generator) -> Floats:
        """(n,) errors of a mean over seeds, with the tails of Student's t, as the deviation is itself an estimate.

        Args:
            share: the mean's variance as a share of one training's: 1/m for a mean of m seeds.
            n: draws.
            rng: draws them.
        """
        return self.std * math.sqrt(share) * rng.standard_t(self.freedom, n) if self.freedom else np.zeros(n)


def pesq_summary(scores: ArrayLike) -> float:
    """The project's one number: mean over the SNRs of the median over the clips.

    Unscored clips (NaN) are left out of their SNR's median. An SNR without any scored clip makes the result NaN,
    since a mean over fewer SNRs would be another quantity.

    Args:
        scores: (clips, SNRs).
    """
    values = np.asarray(scores, np.float64)
    if values.ndim != 2:
        raise ValueError(f"scores must be (clips, SNRs), got shape {values.shape}")
    if values.size == 0:
        return math.nan
    ordered = np.sort(values, axis=0)  # NaN goes last
    scored = np.count_nonzero(~np.isnan(values), axis=0)
    if not scored.all():
        return math.nan
    columns = np.arange(values.shape[1])
    return float(np.mean((ordered[(scored - 1) // 2, columns] + ordered[scored // 2, columns]) / 2))


def _resamples(clips: int, groups: Sequence[object] | None, n: int, seed: int) -> list[NDArray[np.intp]]:
    """`n` draws with replacement of all clips, or of whole groups of clips."""
    rng = np.random.default_rng(seed)
    if groups is None:
        return list(rng.integers(0, clips, (n, clips)))
    if len(groups) != clips:
        raise ValueError(f"there must be one group a clip, got {len(groups)} groups for {clips} clips")
    members: dict[object, list[int]] = {}
    for clip, group in enumerate(groups):
        members.setdefault(group, []).append(clip)
    blocks = [np.array(block, np.intp) for block in members.values()]
    return [np.concatenate([blocks[i] for i in draw]) for draw in rng.integers(0, len(blocks), (n, len(blocks)))]


def _interval(statistics: Floats, level: float) -> Interval:
    known = statistics[~np.isnan(statistics)]
    if known.size == 0:
        return math.nan, math.nan
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _units(clips: int, groups: Sequence[object] | None) -> int:
    return clips if groups is None else len(set(groups))


def bootstrap_interval(
    scores: ArrayLike, groups: Sequence[object] | None = None, n: int = 2000, seed: int = 0, level: float = 0.95
) -> Interval:
    """Percentile bootstrap interval of `pesq_summary`.

    A clip is drawn with all its SNRs, as they share speech, noise and room.

    Args:
        scores: (clips, SNRs), NaN where unscored.
        groups: (clips,) what the clips have in common, for instance the speaker: whole groups are drawn then.
        n: resamples.
        seed: of the draws.
        level: of confidence.

    Returns:
        The interval's ends; NaN for fewer than two clips or groups, which say nothing about their spread.
    """
    values = np.asarray(scores, np.float64)
    if _units(len(values), groups) < 2:
        return math.nan, math.nan
    draws = _resamples(len(values), groups, n, seed)
    return _interval(_of_draws(values, draws), level)


def paired_bootstrap(
    a: ArrayLike,
    b: ArrayLike,
    groups: Sequence[object] | None = None,
    n: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """Percentile bootstrap interval of `pesq_summary(a) - pesq_summary(b)` for two systems on the same clips.

    Both are given the same draw of clips, so what a hard clip does to both cancels. A score that is missing for one
    system is left out for both. Arguments and result as in `bootstrap_interval`; an interval that does not hold zero
    is a difference at that level.
    """
    first, second = np.array(a, np.float64), np.array(b, np.float64)
    if first.shape != second.shape:
        raise ValueError(f"paired scores must have one shape, got {first.shape} and {second.shape}")
    unpaired = np.isnan(first) | np.isnan(second)
    first[unpaired] = second[unpaired] = np.nan
    if _units(len(first), groups) < 2:
        return math.nan, math.nan
    draws = _resamples(len(first), groups, n, seed)
    return _interval(_of_draws(first, draws) - _of_draws(second, draws), level)


def _of_draws(scores: Floats, draws: Sequence[NDArray[np.intp]]) -> Floats:
    """`pesq_summary` of each draw of clips; (n,)."""
    if not draws or len({len(draw) for draw in draws}) > 1 or scores.shape[1] == 0:  # groups differ in their clips
        return np.array([pesq_summary(scores[draw]) for draw in draws])
    rows = max(1, _AT_ONCE // max(1, scores.size))
    return np.concatenate([_summaries(scores[np.stack(draws[i : i + rows])]) for i in range(0, len(draws), rows)])


def _summaries(scores: Floats) -> Floats:
    """`pesq_summary` of (n, clips, SNRs) at once; (n,)."""
    ordered = np.sort(scores, axis=1)  # NaN goes last
    scored = np.count_nonzero(~np.isnan(ordered), axis=1, keepdims=True)
    low, high = (
        np.take_along_axis(ordered, np.maximum(place, 0), axis=1)[:, 0] for place in ((scored - 1) // 2, scored // 2)
    )
    return np.asarray(np.where(scored[:, 0] > 0, (low + high) / 2, np.nan).mean(axis=1), np.float64)


def _over_seeds(scores: Floats, draws: Sequence[NDArray[np.intp]], rng: np.random.Generator) -> Floats:
    """(n,) means over drawn seeds of the summaries of drawn clips."""
    each = np.stack([_of_draws(table, draws) for table in scores])
    seeds = len(each)
    if seeds == 1:
        return np.asarray(each[0], np.float64)
    centre = each.mean(axis=0)
    spread = (each - centre) * math.sqrt(seeds / (seeds - 1))
    picked = rng.integers(0, seeds, (seeds, each.shape[1]))
    return np.asarray(centre + np.take_along_axis(spread, picked, axis=0).mean(axis=0), np.float64)


def _tables(scores: ArrayLike) -> Floats:
    values = np.array(scores, np.float64)
    if values.ndim != 3 or len(values) == 0:
        raise ValueError(f"scores must be (seeds, clips, SNRs) with a seed at least, got shape {values.shape}")
    return values


def _mean_of_draws(scores: Floats, draws: Sequence[NDArray[np.intp]]) -> Floats:
    """(n,) means over all seeds of the summaries of drawn clips."""
    return np.asarray(np.mean([_of_draws(table, draws) for table in scores], axis=0), np.float64)


def hierarchical_interval(
    scores: ArrayLike,
    groups: Sequence[object] | None = None,
    n: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    spread: SeedSpread | None = None,
) -> Interval:
    """Percentile bootstrap interval, over clips and seeds, of the mean over seeds of `pesq_summary`.

    Every seed was scored on the same clips, so both are drawn apart from each other: a draw of clips counts for all
    drawn seeds. As few drawn seeds spread less than the seeds that there could be, their deviations from the mean are
    widened by sqrt(seeds / (seeds - 1)), which makes their variance the unbiased one (Davison and Hinkley, Bootstrap
    Methods and their Application, 1997, section 3.8). A single seed says nothing of its kind: then the interval is that
    of `bootstrap_interval`, over clips alone. Percentiles of so few are too narrow; `spread` mends both.

    Args:
        scores: (seeds, clips, SNRs), NaN where unscored.
        groups, n, seed, level: as for `bootstrap_interval`.
        spread: how seeds differ, from more configurations than this one: takes the place of drawing its own seeds.
            With none behind it (`freedom` 0) the interval is over clips alone.
    """
    values = _tables(scores)
    if _units(values.shape[1], groups) < 2:
        return math.nan, math.nan
    draws, rng = _resamples(values.shape[1], groups, n, seed), np.random.default_rng([seed, 1])
    if spread is None:
        return _interval(_over_seeds(values, draws, rng), level)
    return _interval(_mean_of_draws(values, draws) + spread.draws(1 / len(values), n, rng), level)


def hierarchical_paired(
    a: ArrayLike,
    b: ArrayLike,
    groups: Sequence[object] | None = None,
    n: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    spread: SeedSpread | None = None,
) -> Interval:
    """Percentile bootstrap interval of what one configuration's mean over seeds is above another's, on the same clips.

    Both are given the same draw of clips, and each a draw of its own seeds, as `hierarchical_interval` draws them. A
    score that is missing for any seed is left out for all.

    Args:
        a, b: (seeds, clips, SNRs); the numbers of seeds may differ.
        groups, n, seed, level, spread: as for `hierarchical_interval`.
    """
    first, second = _tables(a), _tables(b)
    if first.shape[1:] != second.shape[1:]:
        raise ValueError(f"paired scores must have one shape, got {first.shape[1:]} and {second.shape[1:]}")
    missing = np.isnan(first).any(axis=0) | np.isnan(second).any(axis=0)
    first[:, missing] = second[:, missing] = np.nan
    if _units(first.shape[1], groups) < 2:
        return math.nan, math.nan
    draws = _resamples(first.shape[1], groups, n, seed)
    mine, other = np.random.default_rng([seed, 1]), np.random.default_rng([seed, 2])
    if spread is not None:
        above = _mean_of_draws(first, draws) - _mean_of_draws(second, draws)
        return _interval(above + spread.draws(1 / len(first) + 1 / len(second), n, mine), level)
    return _interval(_over_seeds(first, draws, mine) - _over_seeds(second, draws, other), level)
