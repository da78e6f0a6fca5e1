from __future__ import annotations

import pytest

from model.ftjnf import Size
from model.macs import Budget, paper_gmac
from search.beside import Beside

VAL = {"unprocessed": {"pesq": 1.2}, "delay-and-sum": {"pesq": 1.4}}
TEACHER = {"pesq": 2.1, "pesq_by_snr": {"0": 2.0}, "spread_by_snr": {"0": [1.9, 2.2]}}


def test_validation_scores_stand_in_every_record() -> None:
    record: dict = {}
    Beside(VAL | {"teacher": TEACHER}).into(record)
    assert record == {"pesq_val_unprocessed": 1.2, "pesq_val_delay_and_sum": 1.4, "pesq_val_teacher": 2.1}
    Beside(VAL).into(record)
    assert record["pesq_val_teacher"] is None


def test_lines_are_those_of_the_split_that_is_drawn() -> None:
    beside = Beside(VAL, {"unprocessed": {"pesq": 1.3}, "teacher": TEACHER}, "128/32")
    val = beside.lines("validation", Budget.parse("1.0GMAC"), demo=True)
    assert (val.unprocessed, val.teacher, val.split, val.budget_gmac) == (1.2, None, "validation", 1.0)
    assert "synthetic" in val.data
    test = beside.lines("test", None, demo=False)
    assert (test.unprocessed, test.teacher, test.split, test.budget_gmac) == (1.3, 2.1, "test", None)
    assert test.teacher_name == "teacher 128/32"
    assert test.teacher_by_snr == {"0": 2.0}
    assert test.teacher_spread_by_snr == {"0": [1.9, 2.2]}


def test_budget_in_another_unit_stands_on_the_papers_axis_under_its_own_name() -> None:
    budget = Budget.parse("0.63GMAC/s")
    lines = Beside(VAL).lines("validation", budget, demo=False)
    assert lines.budget_gmac == pytest.approx(1.0, abs=0.03)
    assert lines.budget_text == "0.63GMAC/s"
    budget, largest = Budget.parse("0.05GMAC/s"), Size(16, 12)
    assert budget.allows(largest)
    lines = Beside(VAL).lines("validation", budget, demo=False, sizes=[Size(8, 4), largest])
    assert lines.budget_gmac == paper_gmac(largest)  # no student lies in the shade
    assert Beside(VAL).lines("validation", Budget.parse("1.0GMAC"), demo=False).budget_text == "1.0 GMAC"
