from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analysis.choice import Pace, Search, choose, latest_search, read_search
from data.errors import InputError
from model.macs import Budget

Student = Callable[..., dict[str, Any]]
GMAC = {0: 0.1, 1: 0.2, 2: 0.5, 3: 0.3, 4: 0.9}
# trial 3 is dominated by 1, and 1 is the knee
PESQ = {0: 1.50, 1: 1.80, 2: 1.95, 3: 1.60, 4: 1.96}


@pytest.fixture
def searched(tmp_path: Path, student: Student) -> Callable[..., Search]:
    """Reads a run folder of five students; keywords are in every record."""

    def make(pesq: dict[int, float] = PESQ, **changed: Any) -> Search:
        shared = {"pesq_val_teacher": 2.05, "pesq_val_unprocessed": 1.20, **changed}
        # the test scores would choose otherwise
        records = [
            student(trial, gmac, pesq.get(trial), **{"pesq_test": 3.0 - 0.1 * trial, **shared})
            for trial, gmac in GMAC.items()
        ]
        (tmp_path / "front.json").write_text(json.dumps(records))
        return read_search(tmp_path)

    return make


def test_the_front_is_by_validation_cheapest_first(searched: Callable[..., Search]) -> None:
    search = searched()
    assert [record["trial"] for record in search.front] == [0, 1, 2, 4]
    assert (search.teacher, search.unprocessed) == (2.05, 1.20)


@pytest.mark.parametrize(
    ("rule", "trial", "reason"),
    [
        (None, 2, "cheapest student within 0.1 PESQ of the teacher (2.05)"),
        ("within:0.1", 2, "cheapest student within 0.1 PESQ of the teacher (2.05)"),
        ("within:0.25", 1, "within 0.25"),
        ("knee", 1, "knee"),
        ("best", 4, "best validation PESQ"),
    ],
)
def test_a_rule_picks_by_validation(rule: str | None, trial: int, reason: str, searched: Callable[..., Search]) -> None:
    choice = choose(searched(), rule)
    assert choice.student["trial"] == trial
    assert reason in choice.why


def test_without_a_student_near_the_teacher_the_best_is_taken_and_the_gap_told(
    searched: Callable[..., Search],
) -> None:
    choice = choose(searched(pesq_val_teacher=2.20))
    assert choice.student["trial"] == 4
    assert "none is within 0.1 PESQ" in choice.why
    assert "0.24 below" in choice.why


def test_an_asked_rule_that_nobody_satisfies_is_an_error(searched: Callable[..., Search]) -> None:
    with pytest.raises(InputError, match=r"no student is within 0\.05"):
        choose(searched(), "within:0.05")


@pytest.mark.parametrize("teacher", [None, float("nan")])
def test_without_a_teacher_the_knee_is_taken(teacher: float | None, searched: Callable[..., Search]) -> None:
    search = searched(pesq_val_teacher=teacher)
    choice = choose(search)
    assert choice.student["trial"] == 1
    assert "does not know its teacher's" in choice.why
    with pytest.raises(InputError, match="needs a teacher's score"):
        choose(search, "within:0.1")


def test_a_front_without_knee_gives_the_cheapest_and_says_so(searched: Callable[..., Search]) -> None:
    choice = choose(searched({0: 1.5, 4: 1.9}), "knee")
    assert choice.student["trial"] == 0
    assert "no knee" in choice.why


# trial 1 costs 0.2 GMAC = 0.124 GMAC/s = 1.984 MMAC/frame
@pytest.mark.parametrize("budget", ["0.2GMAC", "200MMAC", "0.125GMAC/s", "1.99MMAC/frame"])
def test_a_budget_leaves_the_dearer_students_out(budget: str, searched: Callable[..., Search]) -> None:
    choice = choose(searched(), "best", Budget.parse(budget))
    assert choice.student["trial"] == 1
    assert "within the budget of" in choice.why
    assert choice.dearer is not None  # which is told although it is over the budget


@pytest.mark.parametrize("budget", ["0.19GMAC", "0.123GMAC/s", "1.98MMAC/frame"])
def test_a_budget_leaves_out_what_is_just_above_it(budget: str, searched: Callable[..., Search]) -> None:
    assert choose(searched(), "best", Budget.parse(budget)).student["trial"] == 0


def test_the_ends_of_the_front_have_one_neighbour(searched: Callable[..., Search]) -> None:
    search = searched()
    assert choose(search, trial=0).cheaper is None
    assert choose(search, trial=4).dearer is None


def test_a_student_off_the_front_can_be_asked_for_and_the_reason_is_told(searched: Callable[..., Search]) -> None:
    dominated = choose(searched(), trial=3)
    assert "another student dominates it" in dominated.why
    assert dominated.cheaper is not None
    assert dominated.dearer is not None
    assert (dominated.cheaper["trial"], dominated.dearer["trial"]) == (1, 2)
    assert "no validation PESQ" in choose(searched({0: 1.5}), trial=4).why


def test_students_that_are_not_in_the_file_of_the_front_can_be_asked_for(searched: Callable[..., Search]) -> None:
    folder = searched().folder
    every = json.loads((folder / "front.json").read_text())
    every[2]["trials"] = [2, 7]
    (folder / "front.json").write_text(json.dumps([one for one in every if one["trial"] != 3]))
    (folder / "students.json").write_text(json.dumps(every))
    search = read_search(folder)
    assert [record["trial"] for record in search.front] == [0, 1, 2, 4]
    assert "another student dominates it" in choose(search, trial=3).why
    assert choose(search, trial=2).why == "as asked for"
    with pytest.raises(InputError, match=r"trial 7 .* is another seed of trial 2 .*; pass --trial 2"):
        choose(search, trial=7)
    with pytest.raises(InputError, match=r"no trial 9 with a score; on its front are 0, 1, 2, 4"):
        choose(search, trial=9)


def test_the_latest_search_is_that_of_the_newest_front(tmp_path: Path) -> None:
    for name, time in (("a", 2000), ("b", 3000), ("c", 1000)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "front.json").write_text("[]")
        os.utime(tmp_path / name / "front.json", (time, time))
    (tmp_path / "unfinished").mkdir()
    assert latest_search(tmp_path) == tmp_path / "b"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("[]", "no student with a validation PESQ"),
        ("{}", "must hold a list"),
        ("[1]", "must hold a list"),
        ("[", "cannot be read as JSON"),
        ('[{"trial": 1}]', "no number for f_hidden"),
    ],
)
def test_a_front_that_cannot_be_used_is_an_error(content: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "front.json").write_text(content)
    with pytest.raises(InputError, match=says):
        read_search(tmp_path)


def test_a_search_without_any_score_is_an_error(searched: Callable[..., Search]) -> None:
    with pytest.raises(InputError, match="no student with a validation PESQ"):
        searched(pesq_val=None)


def test_what_is_no_run_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path, says in ((tmp_path / "file", "not a folder"), (tmp_path / "x", "not a folder"), (tmp_path, "not exist")):
        with pytest.raises(InputError, match=says):
            read_search(path)
    with pytest.raises(InputError, match="no finished search"):
        latest_search(tmp_path)


def test_students_that_are_too_slow_are_left_out(searched: Callable[..., Search]) -> None:
    ms = {0: 0.1, 1: 0.2, 2: 0.5, 4: 0.9}
    choice = choose(searched(), "best", pace=Pace(0.6, ms))
    assert choice.student["trial"] == 2
    assert choice.why.endswith("of those that take at most 0.6 ms a frame here")
    with pytest.raises(InputError, match=r"takes at most 0.05 ms a frame here; the fastest, trial 0 .*, takes 0.1 ms"):
        choose(searched(), pace=Pace(0.05, ms))
    with pytest.raises(InputError, match=r"a frame of trial 4 .* takes 0.9 ms here, more than --max-ms 0.6; drop"):
        choose(searched(), trial=4, pace=Pace(0.6, ms))
