"""Scoring: the enhancer and the split that are asked for."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import search.scoring
from data.errors import Interrupted
from data.files import file_digest, write_atomic, write_json
from data.plan import DataPlan, prepare
from model.score import Scores
from search.scoring import ScoreJob, Scorer, Share, in_portions, run_score
from search.standing import keep_standing


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
            return lambda function: SimpleNamespace(options=lambda **given: self.asked_for(function, given))

        def asked_for(self, function: Callable[[Any], Any], given: dict[str, float]) -> Any:
            def call(job: ScoreJob) -> Callable[[], Any]:
                gpus[job.what] = given["num_gpus"]
                return lambda: function(job)

            return SimpleNamespace(remote=call)

        def wait(self, waiting: list[Any], **_: Any) -> tuple[list[Any], list[Any]]:
            return waiting[:1], waiting[1:]

        def get(self, call: Callable[[], Scores]) -> Scores:
            return call()

    asked: list[tuple[str, tuple[int, int] | None]] = []
    gpus: dict[str, float] = {}

    def scored(job: ScoreJob) -> Scores:
        asked.append((job.what, job.clips))
        assert job.clips is not None
        return Scores(np.repeat(np.arange(*job.clips, dtype=np.float64)[:, None], 5, axis=1))

    def killed(done: int, of: int) -> None:
        if done == 3:
            raise Interrupted(signal.SIGTERM)

    monkeypatch.setitem(sys.modules, "ray", Ray())
    monkeypatch.setattr(search.scoring, "run_score", scored)

    class Clips(list[None]):
        digest = "clips"

    sets: Any = SimpleNamespace(score_test=Clips([None] * 5 * 12), folders={})
    scorer = Scorer(DataPlan(), sets, tmp_path, None, Share(4, 0.5))
    with pytest.raises(Interrupted):
        scorer.test(tmp_path, [], killed)
    first, second = [(0, 10), (10, 12)], [("delay-and-sum", (0, 10)), ("delay-and-sum", (10, 12))]
    assert asked == [("unprocessed", clips) for clips in first] + second[:1]
    del asked[:]
    beside, members = scorer.test(tmp_path, [], lambda done, of: None)
    assert asked == second
    assert {name: one.pesq[:, 0].tolist() for name, one in beside.items()} == {name: [*range(12)] for name in beside}
    assert list(beside) == ["unprocessed", "delay-and-sum"]
    assert members == []
    assert gpus == {"unprocessed": 0, "delay-and-sum": 0}, "a GPU is of use to a network alone"


def test_a_network_is_scored_with_a_cores_share_of_the_gpu() -> None:
    sets: Any = SimpleNamespace(score_val=[None] * 10, folders={})
    scorer = Scorer(DataPlan(), sets, Path(), None, Share(4, 0.5))
    assert [job.gpu for job in scorer._portions("a.safetensors", "val")] == [True]
    assert [job.gpu for job in scorer._portions("unprocessed", "val")] == [False]
    assert Share(4, 0.5).gpus_a_core == 0.125
    assert [job.gpu for job in Scorer(DataPlan(), sets, Path(), None)._portions("a.safetensors", "val")] == [False]


def test_student_that_goes_on_is_scored_by_the_weights_of_its_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "students" / "0007"
    write_atomic(folder / "best.safetensors", b"scored")
    write_json(folder / "scores.json", {"weights_sha256": file_digest(folder / "best.safetensors")})
    write_json(folder / "result.json", {"stopped": "time"})
    keep_standing(folder)
    write_atomic(folder / "best.safetensors", b"trained on")
    asked: list[str] = []

    def scored(enhancers: list[list[ScoreJob]], share: Share, tell: Any, keep: Any) -> None:
        asked.extend(one[0].what for one in enhancers)

    monkeypatch.setattr(search.scoring, "score_all", scored)
    sets: Any = SimpleNamespace(score_test=type("Clips", (list,), {"digest": "clips"})([None] * 10), folders={})
    Scorer(DataPlan(), sets, tmp_path, None).test(tmp_path, [{"trials": [7]}], lambda done, of: None)
    assert str(folder / "standing.safetensors") in asked
    assert str(folder / "best.safetensors") not in asked


def test_portions_together_are_the_whole(job: ScoreJob) -> None:
    whole = run_score(replace(job, more=True))
    halves = [run_score(replace(job, more=True, clips=clips)) for clips in ((0, 1), (1, 2))]
    joined = Scores.joined(halves)
    np.testing.assert_array_equal(joined.pesq, whole.pesq)
    np.testing.assert_allclose(joined.estoi, whole.estoi, rtol=1e-9)  # pystoi adds noise
    assert halves[0].pesq.shape == (1, 5)
    assert [one.clips for one in in_portions(job, 21)] == [(0, 10), (10, 20), (20, 21)]
