"""Whose weights stay: tests that look at files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from search.keeping import Keeping, clean_tune
from search.proposal import Proposal, State
from search.results import student_records


@pytest.fixture
def proposals(tmp_path: Path, trained: Callable[..., list[Proposal]]) -> list[Proposal]:
    """1 is hardly below 0, 2 is far below; 3 is the dearest."""
    found = trained(1.5, 1.499, 1.2, 1.8)
    for one in found:
        for name in ("last.pt", "standing.safetensors"):
            (tmp_path / f"{one.number:04d}" / name).touch()
    return found


def left(students: Path, name: str = "best.safetensors") -> list[int]:
    return sorted(int(path.parent.name) for path in students.glob(f"*/{name}"))


def test_weights_and_checkpoints_of_losers_go_and_their_scores_stay(tmp_path: Path, proposals: list[Proposal]) -> None:
    records = student_records(tmp_path, proposals)
    Keeping(tmp_path, everything=False).clean(proposals, records)
    assert left(tmp_path) == left(tmp_path, "last.pt") == left(tmp_path, "standing.safetensors") == [0, 1, 3]
    assert left(tmp_path, "scores.json") == [0, 1, 2, 3]
    assert {record["trial"]: record["checkpoint"] is None for record in records} == {
        0: False, 1: False, 2: True, 3: False,
    }  # fmt: skip
    again = student_records(tmp_path, proposals)
    assert [one["pesq_val"] for one in again] == [one["pesq_val"] for one in records]


def test_all_are_kept_where_all_are_wanted(tmp_path: Path, proposals: list[Proposal]) -> None:
    Keeping(tmp_path, everything=True).clean(proposals, student_records(tmp_path, proposals))
    assert left(tmp_path) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("state", "kept"), [("RUNNING", True), ("PAUSED", True), ("PRUNED", False), ("FAIL", False), ("COMPLETE", False)]
)
def test_students_that_may_still_train_keep_theirs(
    tmp_path: Path, proposals: list[Proposal], state: State, kept: bool
) -> None:
    proposals[2] = replace(proposals[2], state=state)
    Keeping(tmp_path, everything=False).clean(proposals, student_records(tmp_path, proposals))
    assert (2 in left(tmp_path, "last.pt")) == kept


def test_student_that_the_time_cut_short_keeps_what_it_goes_on_from(tmp_path: Path, proposals: list[Proposal]) -> None:
    proposals[2] = replace(proposals[2], cut=True)
    records = student_records(tmp_path, proposals)
    Keeping(tmp_path, everything=False).clean(proposals, records)
    assert 2 in left(tmp_path)
    assert 2 in left(tmp_path, "last.pt")
    assert all(record["checkpoint"] for record in records)


def test_student_that_has_not_said_how_it_ended_keeps_its_checkpoint(tmp_path: Path, proposals: list[Proposal]) -> None:
    (tmp_path / "0002" / "result.json").rename(tmp_path / "elsewhere")
    (tmp_path / "0002" / "scores.json").unlink()
    keeping = Keeping(tmp_path, everything=False)
    keeping.clean(proposals, student_records(tmp_path, proposals))
    assert 2 in left(tmp_path, "last.pt")
    (tmp_path / "elsewhere").rename(tmp_path / "0002" / "result.json")
    keeping.clean(proposals, student_records(tmp_path, proposals))
    assert 2 not in left(tmp_path, "last.pt")


def test_all_seeds_of_a_member_of_the_front_are_kept(tmp_path: Path, proposals: list[Proposal]) -> None:
    proposals[2] = replace(proposals[2], choice=replace(proposals[3].choice, repeat=1))
    Keeping(tmp_path, everything=False).clean(proposals, student_records(tmp_path, proposals))
    assert 2 in left(tmp_path)


def test_tunes_own_notes_go_but_for_errors(tmp_path: Path) -> None:
    for session, trial, name in (("session-1", "a", "params.json"), ("session-2", "b", "error.txt")):
        (tmp_path / session / trial).mkdir(parents=True)
        (tmp_path / session / trial / name).touch()
        (tmp_path / session / "experiment.json").touch()
    (tmp_path / "other").mkdir()
    clean_tune(tmp_path)
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")) == [
        "other", "session-2", "session-2/b", "session-2/b/error.txt",
    ]  # fmt: skip
    (tmp_path / "other").rmdir()
    (tmp_path / "session-2" / "b" / "error.txt").unlink()
    clean_tune(tmp_path)
    assert not tmp_path.exists()
