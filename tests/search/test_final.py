from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from data.plan import DataPlan, prepare
from model.score import Scores
from search.final import ScoreJob, add_test_scores, ends_apart, run_score


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


def scored(pesq: float, clips: int = 4) -> Scores:
    rng = np.random.default_rng(0)
    table = pesq + np.array([-0.4, -0.2, 0.0, 0.2, 0.4]) + 0.01 * rng.normal(size=(clips, 5))
    return Scores(table, table - 1, table / 10)


def test_test_scores_are_written_into_the_records() -> None:
    front: list[dict] = [{"trial": 4}, {"trial": 2}]
    beside = {"unprocessed": scored(1.2), "delay-and-sum": scored(1.4), "teacher": scored(2.5)}
    add_test_scores(front, [scored(1.5), scored(2.0)], beside)
    for record, pesq in zip(front, (1.5, 2.0), strict=True):
        assert record["pesq_test"] == pytest.approx(pesq, abs=0.02)
        low, high = record["pesq_test_interval"]
        assert low <= record["pesq_test"] <= high
        assert record["pesq_by_snr"]["-5"] == pytest.approx(pesq - 0.4, abs=0.02)
        assert record["pesq_test_unprocessed"] == pytest.approx(1.2, abs=0.02)
        assert record["pesq_test_delay_and_sum"] == pytest.approx(1.4, abs=0.02)
        assert record["pesq_test_teacher"] == pytest.approx(2.5, abs=0.02)
        assert record["si_sdr_test"] == pytest.approx(pesq - 1, abs=0.02)
        assert record["estoi_test"] == pytest.approx(pesq / 10, abs=0.02)
        assert record["unscored_test"] == 0
    json.dumps(front)
    del beside["teacher"]
    add_test_scores(front, [scored(1.5), scored(2.0)], beside)
    assert front[0]["pesq_test_teacher"] is None


def test_ends_of_the_front_are_compared_on_the_same_clips() -> None:
    assert ends_apart([scored(1.5)]) is None
    found = ends_apart([scored(1.5), scored(1.1), scored(2.0)])
    assert found is not None
    gain, low, high = found
    assert gain == pytest.approx(0.5)
    assert low == pytest.approx(0.5, abs=1e-6)  # what a hard clip does to both cancels
    assert high == pytest.approx(0.5, abs=1e-6)
