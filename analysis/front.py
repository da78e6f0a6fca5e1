"""The Pareto front of quality against cost, its hypervolume, and the rules that pick from it.

Everything here works on plain arrays. `cost` is to be small (GMAC on the paper's axis), `score` large (PESQ); one
entry a student. How sure a score is, `analysis.bootstrap` says; its functions are to be had from here as well.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.bootstrap import (
    Floats,
    Interval,
    SeedSpread,
    bootstrap_interval,
    hierarchical_interval,
    hierarchical_paired,
    paired_bootstrap,
    pesq_summary,
)
from data.errors import InputError

__all__ = [
    "Floats", "Interval", "SeedSpread", "best", "bootstrap_interval", "hierarchical_interval", "hierarchical_paired",
    "hypervolume", "hypervolume_share", "knee", "paired_bootstrap", "pareto_mask", "pesq_summary", "pick", "within",
]  # fmt: skip


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
