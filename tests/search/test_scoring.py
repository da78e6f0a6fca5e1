"""Scoring: the enhancer and the split that are asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.plan import DataPlan, prepare
from model.score import Scores
from search.scoring import ScoreJob, run_score


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
