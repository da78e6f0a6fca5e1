from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from analysis.series import Lines, by_snr, cost_range, log_ticks, points, series, spread_by_snr, true_cost, words
from model.ftjnf import TABLE_1
from model.macs import gmac_per_s, paper_gmac

Student = Callable[..., dict[str, Any]]


def test_points_are_the_scored_students_cheapest_first(student: Student) -> None:
    records = [student(0, 0.9, 1.9), student(1, 0.1, 1.5), student(2, 0.5, None), student(3, 0.4, float("nan"))]
    assert [point.record["trial"] for point in points(records, "validation")] == [1, 0]


def test_front_is_computed_where_no_record_says_who_is_on_it(student: Student) -> None:
    records = [student(0, 0.1, 1.5), student(1, 0.5, 1.4), student(2, 0.9, 1.9)]
    assert [point.front for point in points(records, "validation")] == [True, False, True]


def test_front_is_what_the_records_say_where_they_do(student: Student) -> None:
    records = [student(0, 0.1, 1.5, front=False), student(1, 0.5, 1.4, front=True), student(2, 0.9, 1.9)]
    assert [point.front for point in points(records, "validation")] == [False, True, False]


def test_test_scores_are_read_from_their_own_keys(student: Student) -> None:
    record = student(0, 0.1, 1.5, pesq_test=1.4, pesq_test_interval=[1.3, 1.5], pesq_by_snr={"0": 1.1})
    (point,) = points([record, student(1, 0.2, 1.6)], "test")  # only members of the front are scored on test
    assert (point.pesq, point.interval) == (1.4, (1.3, 1.5))
    assert by_snr(record, "test") == {0.0: 1.1}
    assert by_snr(record, "validation")[0.0] == pytest.approx(1.4)


def test_interval_that_is_not_known_is_none(student: Student) -> None:
    records = [student(0, 0.1, 1.5), student(1, 0.2, 1.6, pesq_val_interval=[None, None])]
    assert [point.interval for point in points(records, "validation")] == [None, None]


def test_values_by_snr_are_in_order_and_hold_only_what_is_known(student: Student) -> None:
    record = student(0, 0.1, 1.5, pesq_by_snr={"15": 2.0, "-5": 1.1, "0": None})
    assert list(by_snr(record, "test").items()) == [(-5.0, 1.1), (15.0, 2.0)]
    record["pesq_spread_by_snr"] = {"5": [1.0, 1.4], "-5": [0.9, 1.2], "0": []}
    assert list(spread_by_snr(record, "test").items()) == [(-5.0, (0.9, 1.2)), (5.0, (1.0, 1.4))]


def test_series_separate_methods_and_starts(student: Student) -> None:
    records = [
        student(0, 0.1, 1.5, kd_method="multi"),
        student(1, 0.2, 1.5, kd_method="none", init="slice"),
        student(2, 0.3, 1.5, kd_method="none"),
        student(3, 0.4, 1.5, kd_method="multi"),
        student(4, 0.5, 1.5, kd_method="of one's own"),
    ]
    assert [[record["trial"] for record in group] for group in series(records)] == [[2], [1], [0, 3], [4]]


def test_words_name_data_split_and_start(student: Student) -> None:
    lines = Lines(None, None, data="demo corpus (synthetic)", split="test")
    assert words([], lines).startswith("demo corpus (synthetic), test clips")
    assert "start at random" in words([student(0, 0.1, 1.5)], lines)
    assert "start as slices of the teacher" in words([student(0, 0.1, 1.5, init="slice")], lines)
    assert "see legend" in words([student(0, 0.1, 1.5), student(1, 0.1, 1.5, init="slice")], lines)


def test_true_cost_gives_that_of_every_row_of_table_1_within_two_percent() -> None:
    costs = [{"paper_gmac": paper_gmac(size), "gmac_per_s": gmac_per_s(size)} for size in TABLE_1.values()]
    a, b = true_cost(costs)
    for cost in costs:
        assert a * cost["paper_gmac"] ** b == pytest.approx(cost["gmac_per_s"], rel=0.02)


def test_true_cost_of_one_size_is_its_ratio_and_of_none_that_of_the_papers_signal() -> None:
    assert true_cost([{"paper_gmac": 0.5, "gmac_per_s": 0.3}]) == pytest.approx((0.6, 1.0))
    assert true_cost([]) == pytest.approx((1 / (96 * 0.016), 1.0))


def test_ticks_are_round_few_and_within_the_axis() -> None:
    assert log_ticks(0.03, 1.2) == [0.03, 0.05, 0.07, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0]
    for low, high in ((0.8, 1.1), (0.05, 0.5), (0.001, 1000.0)):
        ticks = log_ticks(low, high)
        assert 3 <= len(ticks) <= 9
        assert all(low <= tick <= high for tick in ticks)


@pytest.mark.parametrize(("costs", "budget"), [([], None), ([], 1.0), ([0.3], None), ([0.02, 0.9], 1.0), ([0.9], 1.0)])
def test_cost_range_holds_everything_and_is_never_a_sliver(costs: list[float], budget: float | None) -> None:
    left, right = cost_range(costs, budget)
    assert right / left >= 8 - 1e-9
    assert all(left < cost < right for cost in [*costs, *([budget] if budget else [])])
