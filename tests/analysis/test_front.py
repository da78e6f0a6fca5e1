from __future__ import annotations

import math

import numpy as np
import pytest

from analysis.front import (
    best,
    hypervolume,
    hypervolume_share,
    knee,
    pareto_mask,
    pick,
    within,
)
from data.errors import InputError

NAN = math.nan
COST = [0.1, 0.2, 0.4, 0.8, 0.5, 0.05]
SCORE = [1.5, 1.9, 2.0, 2.05, 1.7, NAN]  # index 4 is dominated, 5 has no score


@pytest.mark.parametrize(
    ("cost", "score", "expected"),
    [
        ([], [], []),
        ([0.5], [2.0], [True]),
        ([0.3, 0.6, 0.9], [1.5, 1.8, 1.7], [True, True, False]),
        ([0.9, 0.6, 0.3], [1.9, 1.8, 1.5], [True, True, True]),  # order does not matter
        ([0.5, 0.5], [1.8, 1.9], [False, True]),  # equal cost: the better one
        ([0.4, 0.5], [1.8, 1.8], [True, False]),  # equal score: the cheaper one
        ([0.5, 0.5, 0.5], [1.8, 1.8, 1.8], [True, False, False]),  # exact ties: the first
        ([0.3, 0.6], [NAN, 1.8], [False, True]),
        ([NAN, 0.6], [3.0, 1.8], [False, True]),
        ([0.3, 0.6], [NAN, NAN], [False, False]),
    ],
)
def test_front_holds_the_students_no_other_dominates(
    cost: list[float], score: list[float], expected: list[bool]
) -> None:
    assert pareto_mask(cost, score).tolist() == expected


def test_front_is_that_of_the_definition() -> None:
    rng = np.random.default_rng(3)
    cost, score = rng.integers(0, 8, 60), rng.integers(0, 8, 60)  # many ties

    def dominated(i: int) -> bool:
        at_least = (cost <= cost[i]) & (score >= score[i])
        better = at_least & ((cost < cost[i]) | (score > score[i]))
        earlier_tie = at_least & ~better & (np.arange(60) < i)
        return bool(better.any() or earlier_tie.any())

    assert pareto_mask(cost, score).tolist() == [not dominated(i) for i in range(60)]


def test_front_of_vectors_of_two_lengths_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(2,\) and \(1,\)"):
        pareto_mask([1.0, 2.0], [1.0])


def test_hypervolume_is_the_area_under_the_staircase() -> None:
    # from -1 to -0.5 at 0.5 above the input, from -0.5 to the budget at 0.8 above it; the third is dominated
    assert hypervolume([-1.0, -0.5, -0.2], [1.6, 1.9, 1.7], 0.0, 1.1) == pytest.approx(0.5 * 0.5 + 0.5 * 0.8)


@pytest.mark.parametrize(
    ("log_cost", "score", "expected"),
    [
        ([], [], 0.0),
        ([-0.5], [NAN], 0.0),
        ([0.1], [3.0], 0.0),  # over the budget
        ([0.0], [3.0], 0.0),  # at the budget: no width left
        ([-0.5], [1.0], 0.0),  # not above the unprocessed input
        ([-3.0], [1.6], 1.0 * 0.5),  # below the smallest size: as if it cost that
        ([-3.0, -2.0], [1.6, 2.1], 1.0 * 1.0),
        ([-0.5, -0.5], [1.6, 1.6], 0.5 * 0.5),  # duplicates count once
        ([-0.5], [4.1], 0.5 * 3.0),  # above any teacher: in full
    ],
)
def test_hypervolume_clips_at_its_references(log_cost: list[float], score: list[float], expected: float) -> None:
    assert hypervolume(log_cost, score, 0.0, 1.1, low_log_cost=-1.0) == pytest.approx(expected)


def test_hypervolume_never_falls_when_a_student_is_added() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.uniform(-1.5, 0.2, 40), rng.uniform(0.9, 2.5, 40)
    volumes = [hypervolume(x[:n], y[:n], 0.0, 1.1, -1.2) for n in range(41)]
    assert np.all(np.diff(volumes) >= 0)


def test_share_is_one_for_a_smallest_student_as_good_as_its_teacher_and_more_above_it() -> None:
    assert hypervolume_share([-1.0], [2.4], 0.0, 1.1, -1.0, 2.4) == pytest.approx(1.0)
    assert hypervolume_share([-0.5], [2.4], 0.0, 1.1, -1.0, 2.4) == pytest.approx(0.5)
    assert hypervolume_share([-1.0], [2.5], 0.0, 1.1, -1.0, 2.4) > 1.0


@pytest.mark.parametrize(("teacher", "low"), [(1.1, -1.0), (1.0, -1.0), (2.4, 0.0), (NAN, -1.0)])
def test_share_of_an_empty_rectangle_is_nan(teacher: float, low: float) -> None:
    assert math.isnan(hypervolume_share([-0.5], [1.5], 0.0, 1.1, low, teacher))


def test_best_is_the_highest_score_and_the_cheapest_of_equal_ones() -> None:
    assert best(COST, SCORE) == 3
    assert best([0.8, 0.4], [2.0, 2.0]) == 1


def test_knee_is_the_point_farthest_above_the_chord_in_log_cost() -> None:
    assert knee(COST, SCORE) == 1
    assert knee([0.1, 1.0, 10.0], [1.0, 1.6, 2.0]) == 1


@pytest.mark.parametrize(
    ("cost", "score"),
    [([0.3], [1.5]), ([0.3, 0.6], [1.5, 1.9]), ([0.1, 0.5, 1.0], [1.5, 1.55, 2.0])],
)
def test_knee_of_a_front_without_one_is_its_cheapest_member(cost: list[float], score: list[float]) -> None:
    assert knee(cost, score) == 0


def test_within_is_the_cheapest_student_near_enough_to_the_reference() -> None:
    assert within(COST, SCORE, 0.2, 2.15) == 2
    assert within(COST, SCORE, 0.1, 2.1) == 2  # 2.0 itself is within 0.1 of 2.1
    assert within(COST, SCORE, 0.0, 1.2) == 0


def test_within_says_how_far_the_best_is_off() -> None:
    with pytest.raises(InputError, match=r"within 0\.1 PESQ of the reference 2\.41; .* 2\.05, so use within:0\.36"):
        within(COST, SCORE, 0.1, 2.41)
    assert within(COST, SCORE, 0.36, 2.41) == 3


def test_pick_follows_the_rule() -> None:
    assert pick("best", COST, SCORE) == 3
    assert pick("knee", COST, SCORE) == 1
    assert pick("within:0.2", COST, SCORE, reference=2.15) == 2


@pytest.mark.parametrize("rule", ["", "cheapest", "within", "within:", "within:x", "within:-1", "within:nan", "best:1"])
def test_a_rule_that_is_none_is_an_input_error(rule: str) -> None:
    with pytest.raises(InputError, match="not understood"):
        pick(rule, COST, SCORE, reference=2.0)


def test_within_without_a_teacher_is_an_input_error() -> None:
    with pytest.raises(InputError, match="needs a teacher"):
        pick("within:0.1", COST, SCORE, reference=None)


@pytest.mark.parametrize("rule", ["best", "knee", "within:0.1"])
def test_nothing_to_pick_from_is_an_input_error(rule: str) -> None:
    with pytest.raises(InputError, match="no student has a score"):
        pick(rule, [0.3], [NAN], reference=2.0)
