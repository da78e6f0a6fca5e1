from __future__ import annotations

import math
from typing import Any

import pytest

from analysis.choice import Choice, Search
from analysis.listing import pesq_text, print_choice, print_front
from model.macs import Budget


def record(trial: int, gmac: float, pesq: float) -> dict[str, Any]:
    return {
            "trial": trial, "f_hidden": 8 * (trial + 1), "t_hidden": 4, "kd_method": "none", "alpha_schedule": "none",
            "init": "slice", "parameters": 900, "paper_gmac": gmac, "gmac_per_s": 0.6 * gmac, "pesq_val": pesq,
            }  # fmt: skip


def test_scores_that_are_not_there_are_dashes() -> None:
    assert [pesq_text(value) for value in (1.234, None, math.nan)] == ["1.23", "-", "-"]


def test_the_chosen_student_is_marked_and_a_dominated_one_stands_below(tmp_path, capsys) -> None:
    front, beaten = [record(0, 0.1, 1.2), record(1, 0.5, 1.4)], record(2, 0.6, 1.3)
    front[1] |= {"pesq_test": 1.5, "told_apart_from_cheaper": False}
    search = Search(tmp_path, [*front, beaten], front, 1.5, 1.1)
    print_front(search, front[1])
    (marked,) = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith(">")]
    assert (marked[1], marked[-1]) == ("1", "1.50~")
    print_front(search, beaten)
    assert capsys.readouterr().out.splitlines()[-1].split()[:2] == [">", "2"]


@pytest.mark.parametrize(("budget", "over"), [(None, False), ("0.3GMAC", True)])
def test_neighbours_are_told_by_what_they_would_give(capsys, budget: str | None, over: bool) -> None:
    choice = Choice(record(0, 0.1, 1.2), "the knee", None, record(1, 0.5, 1.4))
    print_choice(choice, None if budget is None else Budget.parse(budget))
    out = capsys.readouterr().out
    assert "chosen: trial 0" in out
    assert "the knee; PESQ 1.20" in out
    assert "next cheaper: none on the front" in out
    assert "+0.20 PESQ, +400 % cost" in out
    assert ("over the budget" in out) is over


def test_scores_of_several_seeds_are_called_their_mean(tmp_path, capsys) -> None:
    student = record(1, 0.5, 1.4) | {"trials": [1, 5, 6], "pesq_val_seeds": [1.45, 1.35, 1.4]}
    print_front(Search(tmp_path, [student], [student], 1.5, 1.1), student)
    assert "PESQ is the mean over the seeds that a student was trained by (trial 1: 3)" in capsys.readouterr().out
    print_choice(Choice(student | {"pesq_val_interval": [1.3, 1.5]}, "the knee", None, None), None)
    said = "PESQ 1.40 (mean of 3 seeds, 95 % interval 1.30 to 1.50, the one exported has 1.45)"
    assert said in capsys.readouterr().out
