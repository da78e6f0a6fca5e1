"""The end of a search, with its scores and figures made elsewhere."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

import search.closing
from data.errors import InputError
from search.beside import Beside
from search.board import Board
from search.closing import Closing
from search.config import SearchConfig
from search.ending import Ending
from search.flags import read_flags, search_config
from search.proposal import Proposal
from search.signals import Signals
from search.timing import Timing


@pytest.fixture
def config(tiny_flags: list[str], tmp_path: Path) -> SearchConfig:
    return search_config(read_flags([*tiny_flags, "--storage", str(tmp_path / "runs"), "--name", "x"]))


@pytest.fixture
def closing(config: SearchConfig) -> Closing:
    now = time.time()
    return Closing(config, config.space(5), Console(file=io.StringIO(), width=400), Signals(), Timing(now), now)


def test_the_review_goes_to_mlflow_with_the_times_of_the_front(
    closing: Closing, config: SearchConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[Any, ...]] = []

    class Noted:
        def __getattr__(self, name: str) -> Callable[..., None]:
            return lambda *values: told.append((name, *values))

    page = config.folder / "review.html"
    monkeypatch.setattr(search.closing, "draw_review", lambda folder, examples: ([page], {4: 1.25}))
    records = [{"trial": 4, "epochs": 6}, {"trial": 5, "epochs": 6}]
    sets: Any = SimpleNamespace(score_test=None)
    board: Any = SimpleNamespace(records=records, tracker=Noted())
    closing.review(sets, board)
    assert told == [("artifact", page), ("figures", 4, {"ms_per_frame": 1.25}, 6)]
    file = closing._console.file
    assert isinstance(file, io.StringIO)
    assert f"Review:  {page}" in file.getvalue()


def test_ending_hands_on_since_when_patience_counts_and_says_how_many_trainings_the_time_cut_short(
    closing: Closing, config: SearchConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("add_test_scores", "print_front", "ends_apart"):
        monkeypatch.setattr(search.closing, name, lambda *_, **__: None)
    monkeypatch.setattr(search.closing, "write_report", lambda folder, *_: folder / "ending.json")
    Ending("patience", "so", 0, None, trials=2, begun=7).write(config.folder)
    choice = next(config.space(5).configurations())
    one = Proposal(0, choice, "COMPLETE", 1.2)
    # the last one is of a configuration that has a whole training
    trials = [one, Proposal(1, choice, "PRUNED", None, cut=True), replace(one, number=2, cut=True)]
    scorer: Any = SimpleNamespace(test=lambda *_: ({}, [{}]))
    tracker: Any = SimpleNamespace(**dict.fromkeys(("describe", "tag_parent", "page", "own_page"), lambda *_: ""))
    board = Board(config, config.space(5), tracker, Beside())
    board.records = [{"front": True, "trial": 0, "trials": [0]}]
    monkeypatch.setattr(Board, "show", lambda *_: None)
    closing.end(scorer, board, "time budget", trials)
    ending = Ending.read(config.folder)
    assert ending is not None
    assert (ending.trials, ending.begun, ending.since, ending.cut) == (config.trials, 3, 7, 2)


def test_search_without_a_finished_student_says_what_became_of_them(closing: Closing, config: SearchConfig) -> None:
    choice: Any = None
    trials: Any = [Proposal(i, choice, state, None) for i, state in enumerate(("FAIL", "RUNNING", "PAUSED"))]
    board: Any = SimpleNamespace(front=[], students=config.folder / "students")
    nobody: Any = None
    with pytest.raises(InputError, match=r"1 failed, 1 were stopped early, 1 are unfinished.*--resume x"):
        closing.end(nobody, board, "trials", trials)
