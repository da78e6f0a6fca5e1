"""Scoring: the enhancer and the split that are asked for."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import search.scoring
from data.errors import Interrupted
from data.plan import DataPlan, prepare
from model.score import Scores
from search.scoring import ScoreJob, Scorer, run_score


@pytest.fixture(scope="module")
def job(small_corpus, cache: Path) -> ScoreJob:
    plan = DataPlan(
        small_corpus.speech, small_corpus.noise, small_corpus.rirs, train_clips=4, val_clips=2, score_clips=1,
        test_clips=2, clip_seconds=1.0,
    )  # fmt: skip
    return ScoreJob("unprocessed", "test", plan, prepare(plan, cache).folders, cache)


def test_each_enhancer_is_scored_on_the_split_that_is_asked_for(job: ScoreJob, teacher_file: Path) -> None:
    def scores(what: str, split: str) -> Scores:
        return run_score(ScoreJob(what, split, job.data, job.sets, job.cache))

    test, val = scores("unprocessed", "test"), scores("unprocessed", "val")
    assert test.pesq.shape == (2, 5)
    assert val.pesq.shape == (1, 5)
    others = [scores("delay-and-sum", "val"), scores(str(teacher_file), "val")]
    assert len({val.mean, *(one.mean for one in others)}) == 3
    assert test.si_sdr is None


def test_members_of_the_front_get_si_sdr_and_estoi_as_well(job: ScoreJob) -> None:
    scores = run_score(ScoreJob("unprocessed", "val", job.data, job.sets, job.cache, more=True))
    assert scores.si_sdr is not None
    assert scores.estoi is not None
    assert scores.si_sdr.shape == scores.estoi.shape == (1, 5)


def test_scores_are_kept_as_they_come_and_not_computed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Ray:
        """Calls at once what Ray would call elsewhere."""

        def remote(self, **_: Any) -> Callable[..., Any]:
            return lambda function: SimpleNamespace(remote=lambda job: lambda: function(job))

        def wait(self, waiting: list[Any], **_: Any) -> tuple[list[Any], list[Any]]:
            return waiting[:1], waiting[1:]

        def get(self, call: Callable[[], Scores]) -> Scores:
            return call()

    asked: list[str] = []

    def scored(job: ScoreJob) -> Scores:
        asked.append(job.what)
        return Scores(np.full((2, 5), 1.5))

    def killed(done: int, of: int) -> None:
        raise Interrupted(signal.SIGTERM)

    monkeypatch.setitem(sys.modules, "ray", Ray())
    monkeypatch.setattr(search.scoring, "run_score", scored)
    sets: Any = SimpleNamespace(score_test=SimpleNamespace(digest="clips"), folders={})
    scorer = Scorer(DataPlan(), sets, tmp_path, None)
    with pytest.raises(Interrupted):
        scorer.test(tmp_path, [], killed)
    assert asked == ["unprocessed"]
    beside, members = scorer.test(tmp_path, [], lambda done, of: None)
    assert asked == ["unprocessed", "delay-and-sum"]
    assert {name: one.mean for name, one in beside.items()} == {"unprocessed": 1.5, "delay-and-sum": 1.5}
    assert members == []
