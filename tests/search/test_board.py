"""What a search has found, and whether there is anything left to do for another session of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import search.board
from data.files import read_json, write_json
from search.beside import Beside
from search.board import Board
from search.config import SearchConfig
from search.ending import Ending, read_beside
from search.flags import read_flags, search_config
from search.proposal import Proposal
from search.results import write_front

BESIDE = Beside({"unprocessed": {"pesq": 1.1}, "teacher": {"pesq": 2.0}}, {"unprocessed": {"pesq": 1.0}})


class Quiet:
    """In place of a `search.tracking.Tracker`."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_: None


@pytest.fixture
def config(tmp_path: Path) -> SearchConfig:
    flags = ["--budget", "1.0GMAC", "--storage", str(tmp_path.parent), "--name", tmp_path.name[:60], "--trials", "3"]
    return search_config(read_flags([*flags, "--methods", "none", "--init", "random"]))


@pytest.fixture
def ended(config: SearchConfig, trained: Callable[..., list[Proposal]], tmp_path: Path) -> list[Proposal]:
    """The students of a search that has come to its end."""
    proposals = trained(1.5, 1.2, 1.8)
    (tmp_path / "students").mkdir()
    for one in proposals:
        (tmp_path / f"{one.number:04d}").rename(tmp_path / "students" / f"{one.number:04d}")
    board = make(config)
    board.gather(proposals)
    for record in board.front:
        record["pesq_test"] = 1.4
    write_front(config.folder, board.records)
    Ending("trials", "all of its 3 students were trained", 0, (0.3, 0.1, 0.5)).write(config.folder)
    return proposals


def make(config: SearchConfig) -> Board:
    tracker: Any = Quiet()
    return Board(config, config.space(5), tracker, BESIDE)


def test_ended_search_has_nothing_left_and_shows_what_it_had(config: SearchConfig, ended: list[Proposal]) -> None:
    board = make(config)
    ending = board.nothing_left(ended)
    assert ending is not None
    assert (ending.ended, ending.apart) == ("trials", (0.3, 0.1, 0.5))
    assert [(record["trial"], record["pesq_test"]) for record in board.front] == [(0, 1.4), (2, 1.4)]


@pytest.mark.parametrize("changes", [{"trials": 4}, {"repeat_front": 1}])
def test_more_that_is_asked_for_is_something_to_do(config: SearchConfig, ended: list[Proposal], changes: Any) -> None:
    assert make(replace(config, **changes)).nothing_left(ended) is None


@pytest.fixture
def stalled(config: SearchConfig, trained: Callable[..., list[Proposal]], tmp_path: Path) -> list[Proposal]:
    """The students of a search that ended on patience with 20 of its 40 students."""
    proposals = trained(1.8, *[1.2] * 19)
    (tmp_path / "students").mkdir()
    for one in proposals:
        (tmp_path / f"{one.number:04d}").rename(tmp_path / "students" / f"{one.number:04d}")
    board = make(replace(config, trials=40, patience=10))
    board.gather(proposals)
    for record in board.front:
        record["pesq_test"] = 1.4
    write_front(config.folder, board.records)
    Ending("patience", "so", 0, None, trials=40, begun=20).write(config.folder)
    return proposals


def test_search_that_ended_on_patience_goes_on_when_more_students_or_patience_are_asked_for(
    config: SearchConfig, stalled: list[Proposal]
) -> None:
    same = replace(config, trials=40, patience=10)
    assert make(same).nothing_left(stalled) is not None
    assert make(replace(same, trials=60)).nothing_left(stalled) is None
    assert make(replace(same, patience=11)).nothing_left(stalled) is None


def test_patience_counts_from_the_first_student_of_those_asked_for_anew(
    config: SearchConfig, stalled: list[Proposal]
) -> None:
    board = make(replace(config, trials=60, patience=10))
    new = [Proposal(number, replace(stalled[0].choice, alpha=number / 40), "COMPLETE", 1.2) for number in range(20, 30)]
    assert not board.stopping([*stalled, *new[:9]]).stalled, "an interrupted session goes on counting"
    assert board.stopping([*stalled, *new]).stalled


def test_search_that_ended_on_patience_trains_nobody_on_that_waits_until_more_is_asked_for(
    config: SearchConfig, stalled: list[Proposal]
) -> None:
    waits = Proposal(20, replace(stalled[0].choice, alpha=0.7), "PAUSED", 1.2)
    timed = replace(config, trials=40, patience=10, time_budget=60.0)
    assert make(timed).nothing_left([*stalled, waits]) is not None
    for more in ({"trials": 60}, {"patience": 11}):
        assert make(replace(timed, **more)).nothing_left([*stalled, waits]) is None


def test_more_students_are_asked_for_once_and_the_next_ending_knows_it(
    config: SearchConfig, stalled: list[Proposal]
) -> None:
    assert make(replace(config, trials=40)).patience_since() == 0
    more = make(replace(config, trials=60))
    assert more.patience_since() == 20
    Ending.of("time budget", more.config, 0, None, 24, more.patience_since(), 0).write(config.folder)
    assert more.patience_since() == 20
    assert make(replace(config, trials=80)).patience_since() == 24
    told = read_json(config.folder / "ending.json")
    write_json(config.folder / "ending.json", {name: value for name, value in told.items() if name != "since"})
    assert more.patience_since() == 0, "an earlier version's"


def test_student_that_was_left_unfinished_is_something_to_do(config: SearchConfig, ended: list[Proposal]) -> None:
    for state in ("RUNNING", "PAUSED"):
        changed: Any = replace(ended[1], state=state)
        assert make(config).nothing_left([ended[0], changed, ended[2]]) is None


def test_student_that_waits_is_trained_on_by_a_session_with_time_or_with_more_students_alone(
    config: SearchConfig, ended: list[Proposal]
) -> None:
    waiting = [ended[0], replace(ended[1], state="PAUSED"), ended[2]]
    board = make(replace(config, time_budget=None))
    board.gather(waiting)
    for record in board.front:
        record["pesq_test"] = 1.4
    write_front(config.folder, board.records)
    assert make(replace(config, time_budget=None)).nothing_left(waiting) is not None
    assert make(replace(config, time_budget=None, trials=4)).nothing_left(waiting) is None
    assert make(replace(config, time_budget=60.0)).nothing_left(waiting) is None


def test_student_that_the_time_cut_short_is_something_to_do_as_long_as_its_checkpoint_is_there(
    config: SearchConfig, ended: list[Proposal]
) -> None:
    cut = [*ended[:2], replace(ended[2], cut=True)]
    assert make(config).nothing_left(cut) is not None
    (config.folder / "students" / "0002" / "last.pt").touch()
    assert make(config).resumable(cut) == cut[2:]
    assert make(config).nothing_left(cut) is None
    assert len(make(config).volumes(cut, 9)) == 2


def test_student_that_ends_by_the_time_keeps_its_checkpoint(config: SearchConfig, ended: list[Proposal]) -> None:
    folder = config.folder / "students" / "0001"
    (folder / "last.pt").touch()
    write_json(folder / "result.json", read_json(folder / "result.json") | {"stopped": "time"})
    make(config).finished(1, [ended[0], replace(ended[1], state="RUNNING", pesq=None), ended[2]])
    assert (folder / "last.pt").exists()


def test_front_that_a_repeat_changed_is_told_at_a_step_of_its_own(config: SearchConfig, ended: list[Proposal]) -> None:
    told: list[tuple[int | None, dict[str, float], int]] = []

    class Told(Quiet):
        def figures(self, *what: Any) -> None:
            told.append(what)

    tracker: Any = Told()
    again = Proposal(3, replace(ended[0].choice, repeat=1), "RUNNING", None)
    board = Board(config, config.space(5), tracker, BESIDE)
    board.finished(2, [*ended, again])
    board.finished(3, [*ended, again])
    parent = [(figures["students"], step) for number, figures, step in told if number is None]
    assert [step for _, step in parent] == [3, 4]
    assert parent[0][0] == parent[1][0]  # a repeat is a student's, not one more


def test_students_that_were_stopped_early_count_for_no_patience(config: SearchConfig, ended: list[Proposal]) -> None:
    board = make(config)
    for state in ("PAUSED", "PRUNED"):
        early: Any = [replace(one, number=one.number + 3, state=state) for one in ended]
        assert len(board.volumes([*ended, *early], 9)) == 3


def test_front_without_test_scores_is_something_to_do(config: SearchConfig, ended: list[Proposal]) -> None:
    board = make(config)
    board.gather(ended)
    for record in board.records:
        record["pesq_test"] = None
    write_front(config.folder, board.records)
    assert make(config).nothing_left(ended) is None
    (config.folder / "ending.json").unlink()
    assert make(config).nothing_left(ended) is None


def test_student_that_has_no_record_any_more_is_tagged_as_not_on_the_front(
    config: SearchConfig, ended: list[Proposal], monkeypatch: pytest.MonkeyPatch
) -> None:
    tags: dict[int, str] = {}

    class Told(Quiet):
        def tag_student(self, number: int, told: dict[str, str]) -> None:
            tags[number] = told["front"]

    monkeypatch.setattr(search.board, "draw", lambda *_, **__: [])
    for number in range(3):
        (config.folder / "students" / f"{number:04d}" / "history.jsonl").touch()
    tracker: Any = Told()
    board = Board(config, config.space(5), tracker, BESIDE)
    cut = replace(ended[2], cut=True)
    board.gather([*ended[:2], cut])
    board.show()
    assert tags == {0: "yes", 1: "no", 2: "yes"}
    whole = replace(ended[1], choice=replace(cut.choice, repeat=1), pesq=1.9)
    board.gather([ended[0], whole, cut])
    board.show()
    assert tags[2] == "no"


def test_volumes_of_earlier_sessions_are_those_by_number(config: SearchConfig, ended: list[Proposal]) -> None:
    board = make(config)
    board.gather(ended)
    volumes = board.volumes(ended, 2)
    assert volumes[-1] == pytest.approx(board.volume(board.records))
    assert volumes[-2] == pytest.approx(board.volume([one for one in board.records if one["trial"] < 2]))
    assert len(volumes) == 3
    repeated = [*ended, Proposal(3, replace(ended[0].choice, repeat=1), "COMPLETE", 1.9)]
    assert len(board.volumes(repeated, 2)) == 3


def test_losers_weights_go_as_students_finish(config: SearchConfig, ended: list[Proposal]) -> None:
    weights = sorted(path.parent.name for path in (config.folder / "students").glob("*/best.safetensors"))
    assert weights == ["0000", "0002"]
    assert [one["checkpoint"] is None for one in read_json(config.folder / "students.json")] == [False, True, False]


def test_ending_and_what_is_beside_are_read_back(tmp_path: Path) -> None:
    assert Ending.read(tmp_path) is None
    assert read_beside(tmp_path) is None
    ending = Ending("patience", "so", 4, None)
    ending.write(tmp_path)
    assert Ending.read(tmp_path) == ending
    (tmp_path / "ending.json").write_text('{"ended": "trials"}')
    assert Ending.read(tmp_path) is None
