from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from analysis.importance import FEWEST, importance

Student = Callable[..., dict[str, Any]]


def students(student: Student, method_gain: float, cost_gain: float, count: int = 16) -> list[dict[str, Any]]:
    """Scores that follow from cost and method alone; every method at every cost."""
    found = []
    for trial in range(count):
        gmac, method = 0.01 * 2 ** (trial // 2), ("none", "linear")[trial % 2]
        pesq = 1.5 + cost_gain * math.log10(gmac) + method_gain * (trial % 2)
        found.append(student(trial, gmac, pesq, kd_method=method, f_hidden=8, t_hidden=4, alpha_schedule="none"))
    return found


def test_the_cost_is_what_matters_where_only_it_makes_a_difference(student: Student) -> None:
    found = importance(students(student, method_gain=0.0, cost_gain=0.2))
    assert found.pesq["cost"] > 0.95
    assert found.explained == pytest.approx(1.0)
    assert found.beyond_cost == {}
    assert sum(found.pesq.values()) == pytest.approx(1.0)


def test_a_method_that_the_cost_hides_shows_in_what_the_cost_leaves(student: Student) -> None:
    found = importance(students(student, method_gain=0.05, cost_gain=0.4))
    assert found.pesq["cost"] > found.pesq["KD method"]
    assert found.beyond_cost["KD method"] == pytest.approx(1.0)
    assert "cost" not in found.beyond_cost
    assert found.explained == pytest.approx(0.98, abs=0.03)


def test_the_same_students_give_the_same_shares(student: Student) -> None:
    records = students(student, 0.05, 0.2)
    assert importance(records) == importance(records)


def test_too_few_students_tell_nothing_and_it_is_said(student: Student) -> None:
    found = importance(students(student, 0.1, 0.1, count=FEWEST - 1))
    assert found.pesq == {}
    assert found.why_not == "3 students have a score, too few to tell"


def test_students_that_do_not_differ_tell_nothing(student: Student) -> None:
    records = [student(trial, 0.1, 1.5 + 0.01 * trial, f_hidden=8) for trial in range(6)]
    assert importance(records).why_not == "the students do not differ in any dimension"


def test_one_cost_leaves_no_line_to_take_off(student: Student) -> None:
    records = [student(n, 0.1, 1.5 + 0.1 * (n % 2), f_hidden=8, kd_method=("none", "multi")[n % 2]) for n in range(8)]
    found = importance(records)
    assert found.pesq == {"KD method": pytest.approx(1.0)}
    assert (found.beyond_cost, found.explained) == ({}, None)


def test_other_settings_count_where_the_search_varied_them(student: Student) -> None:
    records = [student(n, 0.1, 1.5 + 0.1 * (n % 2), f_hidden=8, **({"ramp": 0.5} if n % 2 else {})) for n in range(8)]
    assert importance(records, ["ramp"]).pesq == {"ramp": pytest.approx(1.0)}
    assert importance(records).pesq == {}
