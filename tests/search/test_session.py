"""A session's ends, with Tune, Ray and MLflow away: what is kept, what is refused, what is left to a later session."""

from __future__ import annotations

import errno
import io
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

import search.session
import search.students
from data.errors import InputError
from data.files import read_json
from search.beside import Beside
from search.board import Board
from search.config import SearchConfig
from search.flags import read_flags, search_config
from search.groundwork import Groundwork
from search.proposals import Proposals
from search.searcher import TuneSearcher
from search.session import Session

BESIDE = Beside({"unprocessed": {"pesq": 1.1}, "teacher": {"pesq": 2.0}})
DEAD = "http://127.0.0.1:1"
Open = Callable[..., Session]


class Reached(Exception):  # noqa: N818 - it is no error
    """A session has come as far as it should."""


class Quiet:
    """In place of a `search.tracking.Tracker`."""

    def __init__(self, *_: Any) -> None: ...

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_: None


@pytest.fixture
def config(tiny_flags: list[str], tmp_path: Path) -> SearchConfig:
    return search_config(read_flags([*tiny_flags, "--storage", str(tmp_path / "runs"), "--name", "x"]))


@pytest.fixture
def opened(config: SearchConfig, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Open:
    """Makes a session; keywords change what is searched. Ray is never started."""
    monkeypatch.setattr(search.session, "start_ray", lambda address: 2)
    monkeypatch.setattr(search.session, "stop_ray", lambda: None)

    def make(resumed: bool = False, **changes: Any) -> Session:
        changed = replace(config, **changes)
        console = Console(file=io.StringIO(), width=300)
        return Session(changed, changed.space(5), cache, console, time.time(), resumed=resumed)

    return make


def ends_at_the_clock(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fails(*_: Any) -> None:
        raise error

    monkeypatch.setattr(Groundwork, "clock", fails)


def begun(opened: Open, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
    """A search that ended for some reason once it had its folder."""
    with monkeypatch.context() as patch:
        ends_at_the_clock(patch, Reached())
        patch.setattr(Session, "_names_a_store", lambda session: False)
        with pytest.raises(Reached):
            opened(**{"resumed": False} | changes).run()


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), InputError("too short")])
def test_search_that_ends_before_its_first_student_leaves_no_folder(
    opened: Open, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    ends_at_the_clock(monkeypatch, error)
    session = opened()
    with pytest.raises(type(error)):
        session.run()
    assert not session.folder.exists()


def test_search_whose_time_turns_out_too_short_for_students_leaves_no_folder(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_short(*_: Any) -> int:
        raise InputError("too short")

    monkeypatch.setattr(search.session, "Tracker", Quiet)
    monkeypatch.setattr(Session, "_score_beside", lambda *_: BESIDE)
    monkeypatch.setattr(Groundwork, "decide_epochs", too_short)
    session = opened()
    with pytest.raises(InputError, match="too short"):
        session.run()
    assert not session.folder.exists()


def test_how_to_go_on_is_said_before_ray_ends_which_a_second_signal_may_cut_short(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any) -> None:
        signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background has it ignored
    try:
        session = opened()
        monkeypatch.setattr(Groundwork, "clock", interrupted)
        monkeypatch.setattr(search.session, "stop_ray", interrupted)
        with pytest.raises(KeyboardInterrupt):
            session.run()
    finally:
        signal.signal(signal.SIGINT, before)
    assert isinstance(session.console.file, io.StringIO)
    assert "Go on with: python search/run.py --resume x --storage" in session.console.file.getvalue()


def test_new_search_whose_folder_has_come_into_being_meanwhile_is_refused(opened: Open) -> None:
    session = opened()
    session.folder.mkdir(parents=True)
    with pytest.raises(InputError, match="a search named x exists"):
        session.run()
    assert list(session.folder.iterdir()) == []


def test_second_session_is_refused_at_once_and_a_later_one_is_not(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun(opened, monkeypatch)
    ends_at_the_clock(monkeypatch, Reached())
    first, second = opened(resumed=True), opened(resumed=True)
    first.run_folder.hold()
    with monkeypatch.context() as patch:
        patch.setattr(Groundwork, "check", lambda self: pytest.fail("went on"))
        with pytest.raises(InputError, match="search x is running already"):
            second.run()
    first.run_folder.release()
    for _ in range(2):
        with pytest.raises(Reached):
            opened(resumed=True).run()


def test_running_search_is_refused_by_its_name_as_well_as_to_be_resumed(
    opened: Open, config: SearchConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun(opened, monkeypatch)
    running = opened(resumed=True)
    running.run_folder.hold()
    monkeypatch.setattr(Groundwork, "decide_epochs", lambda *_: pytest.fail("went on"))
    with pytest.raises(InputError, match="a search named x exists"):
        opened().run()
    with pytest.raises(InputError, match="search x is running already"):
        opened(resumed=True).run()
    running.run_folder.release()


def propose(config: SearchConfig, count: int) -> Proposals:
    proposals = Proposals(config.space(5), config.folder / "study.journal", config.seed)
    for number in range(count):
        proposals.propose(number)
    return proposals


def test_what_is_said_anew_of_a_search_is_kept_for_its_later_sessions(
    opened: Open, config: SearchConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun(opened, monkeypatch)
    begun(opened, monkeypatch, resumed=True, trials=40, patience=7, time_budget=60.0)
    stored = SearchConfig.from_dict(read_json(config.folder / "search.json"))
    assert stored == replace(config, trials=40, patience=7, time_budget=60.0)


def test_fewer_trials_than_were_begun_are_refused_and_nothing_is_changed(
    opened: Open, config: SearchConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun(opened, monkeypatch)
    propose(config, 3).declare(replace(propose(config, 3).trials()[0].choice, repeat=1))  # for certainty: not counted
    with pytest.raises(InputError, match=r"--trials 2 is fewer than the 3 students that x has begun already"):
        opened(resumed=True, trials=2).run()
    assert SearchConfig.from_dict(read_json(config.folder / "search.json")) == config
    begun(opened, monkeypatch, resumed=True, trials=3)


def test_resumed_search_does_not_go_on_with_other_sounds(
    opened: Open, config: SearchConfig, small_corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    speech = shutil.copytree(small_corpus.speech, tmp_path / "speech")
    data = replace(config.data, speech=speech)
    begun(opened, monkeypatch, data=data)
    before = (config.folder / "data.json").read_bytes()
    clips = speech / "clips"
    (clips / "de_0_0.mp3").write_bytes((clips / "de_1_1.mp3").read_bytes())  # of a talker of training
    with pytest.raises(InputError, match="search x cannot go on: the speech of train changed since it began"):
        opened(resumed=True, data=data).run()
    assert (config.folder / "data.json").read_bytes() == before


def test_tracking_server_that_is_away_ends_a_new_search_and_no_resumed_one(
    opened: Open, config: SearchConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match=r"the tracking store http://127\.0\.0\.1:1 cannot be used"):
        opened(tracking_uri=DEAD).run()
    begun(opened, monkeypatch, tracking_uri=DEAD)
    assert read_json(config.folder / "search.json")["tracking_uri"] == DEAD
    with monkeypatch.context() as patch:
        ends_at_the_clock(patch, Reached())
        with pytest.raises(Reached):
            opened(resumed=True, tracking_uri=DEAD).run()
        with pytest.raises(InputError, match=r"the tracking store http://127\.0\.0\.1:2 cannot be used"):
            opened(resumed=True, tracking_uri="http://127.0.0.1:2").run()  # named just now
    assert (config.folder / "search.json").exists()


def test_machine_that_fails_students_ends_the_search_and_leaves_them_to_a_later_session(
    opened: Open, config: SearchConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    handed_out: list[list[int]] = []

    def disk_full(config: SearchConfig, job: Any, searcher: TuneSearcher, follower: Any, *_: Any) -> None:
        handed_out.append([])
        follower.last_error = "No space left on device"
        while isinstance(suggestion := searcher.suggest(name := str(len(handed_out[-1]))), dict):
            handed_out[-1].append(suggestion["number"])
            searcher.on_trial_complete(name, error=True)

    monkeypatch.setattr(search.session, "Tracker", Quiet)
    monkeypatch.setattr(search.students, "tune_students", disk_full)
    monkeypatch.setattr(Session, "_score_beside", lambda *_: BESIDE)
    monkeypatch.setattr(Board, "show", lambda *_: None)
    for resumed in (False, True):
        with pytest.raises(InputError) as caught:
            opened(resumed=resumed, trials=5).run()
        for part in ("3 students in a row", "No space left on device", "--resume x"):
            assert part in str(caught.value)
    assert handed_out == [[0, 1, 2], [0, 1, 2]]
    space = config.space(5)
    assert [one.state for one in Proposals(space, config.folder / "study.journal").trials()] == ["RUNNING"] * 3


def test_students_that_wait_go_on_waiting_over_a_signal_and_over_the_end(
    opened: Open, config: SearchConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting: list[list[int]] = []

    def waits(config: Any, job: Any, searcher: TuneSearcher, follower: Any, slots: int, scheduler: Any) -> None:
        waiting.append(scheduler._rungs.paused())
        if len(waiting) == 1:
            suggestion = searcher.suggest("0")
            assert isinstance(suggestion, dict)
            assert job.rungs == (1,)
            folder = job.folder(suggestion["number"])
            folder.mkdir(parents=True)
            (folder / "history.jsonl").write_text('{"epoch": 1, "rung": 0, "pesq": 1.2, "seconds": 1.0}\n')
            for better in range(100, 103):
                scheduler._rungs.report(better, -9.0, 0, 2.0)
            trial = SimpleNamespace(config=suggestion)
            assert scheduler.on_trial_result(None, trial, {"rung": 0, "pesq": 1.2}) == "STOP"
            session.signals.caught = signal.SIGTERM

    monkeypatch.setattr(search.session, "Tracker", Quiet)
    monkeypatch.setattr(search.students, "tune_students", waits)
    monkeypatch.setattr(Session, "_score_beside", lambda *_: BESIDE)
    monkeypatch.setattr(Board, "show", lambda *_: None)
    changes = {"trials": 1, "halving": True, "train": replace(config.train, epochs=3)}
    session = opened(**changes)
    assert session.run()[1] == 128 + signal.SIGTERM
    journal = Proposals(config.space(5), config.folder / "study.journal")
    assert [(one.state, one.pesq) for one in journal.trials()] == [("PAUSED", 1.2)]
    session = opened(resumed=True, **changes)
    with pytest.raises(InputError, match=r"no student has finished \(0 failed, 1 were stopped early"):
        session.run()
    assert waiting == [[], [0]]
    journal = Proposals(config.space(5), config.folder / "study.journal")
    assert [one.state for one in journal.trials()] == ["PAUSED"]
    assert read_json(config.folder / "students" / "0000" / "result.json")["stopped"] == "halved"
