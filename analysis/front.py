"""The Pareto front of quality against cost, its hypervolume, confidence over clips, and the rules that pick from it.

Everything here works on plain arrays. `cost` is to be small (GMAC on the paper's axis), `score` large (PESQ); one
entry a student. `scores` is (clips, SNRs): the same clips at each SNR, NaN where a clip could not be scored.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from data.errors import InputError

Floats = NDArray[np.float64]
Interval = tuple[float, float]


def _points(cost: ArrayLike, score: ArrayLike) -> tuple[Floats, Floats]:
    costs, scores = np.asarray(cost, np.float64), np.asarray(score, np.float64)
    if costs.ndim != 1 or costs.shape != scores.shape:
        raise ValueError(
            f"cost and score must be two vectors of one length, got shapes {costs.shape} and {scores.shape}"
        )
    return costs, scores


def pareto_mask(cost: ArrayLike, score: ArrayLike) -> NDArray[np.bool_]:
    """Marks the non-dominated students: no other is at most as costly and at least as good, and better in one of both.

    A NaN in either is never on the front; of exact ties only the first is.

    Args:
        cost: (n,) lower is better.
        score: (n,) higher is better.

    Returns:
        (n,) bool.
    """
    costs, scores = _points(cost, score)
    on_front = np.zeros(costs.size, bool)
    best = -math.inf
    # cheapest first, of equal costs the best first, of exact ties the first: on the front is who beats all before
    for index in np.lexsort((np.arange(costs.size), -scores, costs)):
        if not math.isnan(costs[index]) and scores[index] > best:
            on_front[index] = True
            best = scores[index]
    return on_front


def hypervolume(
    log_cost: ArrayLike, score: ArrayLike, ref_log_cost: float, ref_score: float, low_log_cost: float = -math.inf
) -> float:
    """The area that the front dominates, in decades of cost times PESQ.

    It is the area between the front's staircase and the reference point's two lines. A student beyond the reference
    cost, or not above the reference score, adds nothing; one below `low_log_cost` counts as if it cost that much.
    There is no upper limit of the score: a student above its teacher counts in full.

    Args:
        log_cost: (n,) log10 of the cost.
        score: (n,) PESQ.
        ref_log_cost: log10 of the budget.
        ref_score: PESQ of the unprocessed input.
        low_log_cost: log10 of the cost of the smallest size.
    """
    x, y = _points(log_cost, score)
    keep = pareto_mask(x, y) & (x <= ref_log_cost) & (y > ref_score)
    order = np.argsort(x[keep])
    x, y = np.maximum(x[keep][order], low_log_cost), y[keep][order]
    widths = np.diff(x, append=ref_log_cost)
    return float(np.sum(np.maximum(widths, 0.0) * (y - ref_score)))


def hypervolume_share(
    log_cost: ArrayLike,
    score: ArrayLike,
    ref_log_cost: float,
    ref_score: float,
    low_log_cost: float,
    teacher_score: float,
) -> float:
    """`hypervolume` as a share of the rectangle from the smallest size to the budget, from unprocessed to teacher PESQ.

    1.0 is what one student of the smallest size that equals its teacher would reach; students above the teacher can
    go beyond. NaN if the rectangle is empty: a teacher no better than the input, a budget not above the smallest size.
    """
    rectangle = (ref_log_cost - low_log_cost) * (teacher_score - ref_score)
    if not (ref_log_cost > low_log_cost and teacher_score > ref_score):
        return math.nan
    return hypervolume(log_cost, score, ref_log_cost, ref_score, low_log_cost) / rectangle


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
    return _interval(np.array([pesq_summary(values[draw]) for draw in draws]), level)


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
    return _interval(np.array([pesq_summary(first[draw]) - pesq_summary(second[draw]) for draw in draws]), level)


def best(cost: ArrayLike, score: ArrayLike) -> int:
    """Index of the student with the highest score; of equal ones the cheapest.

    Raises:
        InputError: no student has a score.
    """
    return _front(cost, score)[-1]


def knee(cost: ArrayLike, score: ArrayLike) -> int:
    """Index of the student after which more cost buys least: the front's point farthest above its chord.

    The chord joins the cheapest and the best member of the front in log10(cost) and score. With no member above it
    (two members, or a front that sags) there is no knee, and the cheapest member is taken.

    Args:
        cost: (n,) above zero, not in log.
        score: (n,).

    Raises:
        InputError: no student has a score.
    """
    front = _front(cost, score)
    x, y = np.log10(np.asarray(cost, np.float64)[front]), np.asarray(score, np.float64)[front]
    if len(front) < 3:
        return front[0]
    above = (y - y[0]) / (y[-1] - y[0]) - (x - x[0]) / (x[-1] - x[0])
    return front[int(np.argmax(above))]


def within(cost: ArrayLike, score: ArrayLike, delta: float, reference: float) -> int:
    """Index of the cheapest student with a score of at least `reference - delta`.

    Raises:
        InputError: no student is that good.
    """
    scores = np.asarray(score, np.float64)
    front = _front(cost, score)
    for index in front:
        if scores[index] >= reference - delta - 1e-9:  # 2.3 is within 0.1 of 2.4, whatever the last bit says
            return index
    gap = math.ceil((reference - scores[front[-1]] - 1e-9) * 100) / 100
    raise InputError(
        f"no student is within {delta:g} PESQ of the reference {reference:.2f}; the best one reaches "
        f"{scores[front[-1]]:.2f}, so use within:{gap:g} or the rule best"
    )


def pick(rule: str, cost: ArrayLike, score: ArrayLike, reference: float | None = None) -> int:
    """Index of the student that a rule picks: `best`, `knee` or `within:0.1` (of the reference, the teacher's score).

    Raises:
        InputError: the rule is none of these, needs a reference that is missing, or no student satisfies it.
    """
    if rule == "best":
        return best(cost, score)
    if rule == "knee":
        return knee(cost, score)
    name, _, number = rule.partition(":")
    try:
        delta = float(number)
    except ValueError:
        delta = math.nan
    if name != "within" or not (math.isfinite(delta) and delta >= 0):
        raise InputError(
            f"rule {rule!r} is not understood; write best, knee or within:0.1 (a PESQ difference from 0 up)"
        )
    if reference is None or math.isnan(reference):
        raise InputError(f"rule {rule!r} needs a teacher's score and this search has none; use best or knee")
    return within(cost, score, delta, reference)


def _front(cost: ArrayLike, score: ArrayLike) -> list[int]:
    """Indices of the front's members, cheapest first."""
    costs, _ = _points(cost, score)
    members = np.flatnonzero(pareto_mask(cost, score))
    if members.size == 0:
        raise InputError("no student has a score yet, so none can be picked; let the search finish at least one")
    return [int(index) for index in members[np.argsort(costs[members])]]
