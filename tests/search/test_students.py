"""What ends the students of a session, with Tune away: trials are handed out and told by hand."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

import search.students
from data.files import write_json
from search.beside import Beside
from search.board import Board
from search.clock import Clock
from search.config import SearchConfig
from search.ending import Ending
from search.flags import read_flags, search_config
from search.halving import Rungs
from search.proposals import Proposals
from search.searcher import TuneSearcher
from search.signals import Signals
from search.space import Choice
from search.students import Students

BESIDE = Beside({"unprocessed": {"pesq": 1.1}, "teacher": {"pesq": 2.0}})


class Quiet:
    """In place of a `search.tracking.Tracker`."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_: None


class Timeless:
    """In place of a `Clock`: has time for whom it is told, and for at most this share of a training."""

    slots = 2

    def __init__(self, fits: Callable[[Choice], bool] = lambda choice: True, most: float = 1.0) -> None:
        self._fits, self._most = fits, most

    def fits(self, choice: Choice, *_: Any, share: float, **__: Any) -> bool:
        return share <= self._most and self._fits(choice)


Play = Callable[["Script"], object]


class Script:
    """A session of a search in `folder`, played by hand; an earlier one in the same folder is continued."""

    def __init__(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, *, clock: Any = None, rungs: Rungs | None = None,
        deadline: float | None = None, **changes: Any,
    ) -> None:  # fmt: skip
        flags = ["--budget", "1.0GMAC", "--storage", str(folder), "--name", "x", "--init", "random"]
        config: SearchConfig = replace(search_config(read_flags(flags)), **({"trials": 2, "patience": 0} | changes))
        tracker: Any = Quiet()
        self.config, self.space = config, config.space(5)
        self.proposals = Proposals(self.space, config.folder / "study.journal")
        self.board = Board(config, self.space, tracker, BESIDE)
        students = self.board.students
        job: Any = SimpleNamespace(
            train=config.train, teacher=None, deadline=deadline, folder=lambda number: students / f"{number:04d}"
        )
        console = Console(file=io.StringIO())
        time: Clock = Timeless() if clock is None else clock
        self.students = Students(self.board, self.proposals, job, time, 0.0, 0.0, Signals(), console, rungs)
        self.searcher: TuneSearcher
        self._monkeypatch = monkeypatch

    def search(self, play: Play) -> str:
        """Runs the session; `play` does what Tune would."""

        def tune(config: Any, job: Any, searcher: TuneSearcher, *_: Any) -> None:
            self.searcher = searcher
            play(self)

        self._monkeypatch.setattr(search.students, "tune_students", tune)
        self._monkeypatch.setattr(Board, "show", lambda *_: None)
        return self.students.search()

    def end(self, name: str, number: int, pesq: float, stopped: str = "") -> None:
        """A student ends with a score."""
        folder = self.board.students / f"{number:04d}"
        val = {"pesq": pesq, "pesq_by_snr": {"0": pesq}, "spread_by_snr": {"0": [pesq, pesq]}, "unscored": 0}
        write_json(folder / "scores.json", {"val": val, "val_table": [[pesq] * 5] * 4})
        write_json(folder / "result.json", {"epoch": 1, "best_epoch": 1, "seconds": 1.0, "stopped": stopped})
        for file in ("best.safetensors", "last.pt"):
            (folder / file).touch()
        self.board.finished(number, self.proposals.trials())
        self.searcher.on_trial_complete(name, {"state": "COMPLETE", "pesq": pesq, "stopped": stopped})

    def train(self, pesq: float = 1.5) -> int:
        """All that is handed out, one after the other. Returns how many there were."""
        count = 0
        while isinstance(one := self.searcher.suggest(name := f"{id(self)}-{count}"), dict):
            self.end(name, one["number"], pesq)
            count += 1
        return count


def test_search_that_has_all_its_students_ended_for_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Script(tmp_path, monkeypatch).search(lambda script: script.train()) == "trials"


def test_new_student_without_time_ends_the_search_by_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Choice] = []
    clock = Timeless(lambda choice: bool(asked.append(choice)) or len(asked) < 2)
    assert Script(tmp_path, monkeypatch, clock=clock).search(lambda script: script.train()) == "time budget"


def test_student_that_was_begun_and_has_no_time_ends_the_search_by_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Script(tmp_path, monkeypatch)
    for number in range(2):
        first.proposals.propose(number)
    clock = Timeless(lambda choice: False)
    assert Script(tmp_path, monkeypatch, clock=clock).search(lambda script: script.train()) == "time budget"


def test_student_that_waits_and_has_no_time_is_not_what_ended_the_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rungs, waiting = Rungs(), set[Choice]()

    def play(script: Script) -> None:
        one = script.searcher.suggest("a")
        assert isinstance(one, dict)
        for other in range(100, 103):
            rungs.report(other, -9.0, 0, 2.0)
        rungs.report(0, 0.0, 0, 1.2)
        assert rungs.decide(0) == "pause"
        script.proposals.pause(0, 1.2)
        (script.board.students / "0000").mkdir(parents=True)
        script.searcher.on_trial_complete("a", {"rung": 0, "pesq": 1.2})
        waiting.add(Choice(**one["choice"]))
        assert script.train() == 1

    clock = Timeless(lambda choice: choice not in waiting)
    script = Script(tmp_path, monkeypatch, clock=clock, rungs=rungs, deadline=math.inf)
    assert script.search(play) == "trials"


def test_search_that_has_stalled_hears_the_students_in_training_before_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def play(script: Script) -> None:
        for number in range(12):
            assert isinstance(script.searcher.suggest(str(number)), dict)
        assert isinstance(script.searcher.suggest("in flight"), dict)
        for number in range(12):
            script.end(str(number), number, 1.2)
        assert script.searcher.suggest("held") is None
        script.end("in flight", 12, 1.9)
        assert isinstance(script.searcher.suggest("new"), dict)
        script.end("new", 13, 1.2)
        assert script.train(1.2) == 1

    assert Script(tmp_path, monkeypatch, trials=40, patience=2).search(play) == "patience"


def test_students_asked_for_after_an_end_by_patience_are_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: list[int] = []

    def ends(script: Script, ended: str) -> None:
        assert script.search(lambda script: counts.append(script.train(1.2))) == ended
        ending = Ending.of(
            "patience", script.config, 0, None, len(script.proposals.trials()), script.board.patience_since(), 0
        )
        ending.write(script.config.folder)

    ends(Script(tmp_path, monkeypatch, trials=30, patience=10), "patience")
    asked: list[Choice] = []
    clock = Timeless(lambda choice: bool(asked.append(choice)) or len(asked) < 5)
    ends(Script(tmp_path, monkeypatch, trials=60, patience=10, clock=clock), "time budget")
    ends(Script(tmp_path, monkeypatch, trials=60, patience=10), "patience")
    ends(Script(tmp_path, monkeypatch, trials=60, patience=10), "patience")
    assert counts[0] >= 20
    assert counts[1] == 4
    assert counts[2] >= 6, "those before more were asked for do not count, though a session since came to its end"
    assert counts[1] + counts[2] < 15
    assert counts[3] == 0


def test_student_that_the_time_cut_short_goes_on_in_the_next_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_short(script: Script) -> None:
        for name in "ab":
            assert isinstance(script.searcher.suggest(name), dict)
        script.end("a", 0, 1.5)
        script.end("b", 1, 1.2, stopped="time")

    def play(script: Script) -> None:
        one = script.searcher.suggest("again")
        assert isinstance(one, dict)
        assert one["number"] == 1
        script.end("again", 1, 1.6)
        assert script.train() == 0

    assert Script(tmp_path, monkeypatch).search(cut_short) == "time budget"
    script = Script(tmp_path, monkeypatch)
    assert script.search(play) == "trials"
    assert [(one.state, one.pesq, one.cut) for one in script.proposals.trials()] == [
        ("COMPLETE", 1.5, False), ("COMPLETE", 1.6, False),
    ]  # fmt: skip


def test_student_that_is_nearly_done_needs_no_time_for_a_whole_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Script(tmp_path, monkeypatch)
    first.proposals.propose(0)
    lines = [json.dumps({"epoch": n, "stage": "hard", "epoch_seconds": 1.0}) for n in range(1, 28)]
    folder = first.board.students / "0000"
    folder.mkdir(parents=True)
    (folder / "history.jsonl").write_text("\n".join(lines) + "\n")
    assert first.config.train.epochs == 30
    counts: list[int] = []
    script = Script(tmp_path, monkeypatch, clock=Timeless(most=0.2))
    assert script.search(lambda script: counts.append(script.train())) == "time budget"
    assert counts == [1], "a new one has no time"
