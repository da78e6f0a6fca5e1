"""One student, from its configuration to its score, without Ray: killed, resumed, out of time, diverged."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import model.objective
import search.judge
import search.stored
import search.student
from data.errors import InputError
from data.examples import FreshScenes
from data.files import file_digest, read_json
from data.plan import DataPlan, Sets, prepare
from model.fresh_targets import FreshTargets
from model.ftjnf import Size
from model.gram import Gram
from model.score import Scores
from model.target_plan import TargetPlan
from model.train_config import TrainConfig
from model.weights import load_network
from search.space import Choice
from search.standing import scored_weights
from search.student import (
    StudentJob,
    leave_halved,
    run_student,
    rungs_of,
    score_metrics,
    start_network,
    train_config,
)

EPOCHS = 2
NONE = Choice.of(Size(8, 4), "none", "none", "slice")
LINEAR = Choice.of(Size(8, 4), "linear", "two-stage", "slice")
T_LSTM = Choice.of(Size(8, 4), "t-lstm", "two-stage", "random")
COSINE = Choice.of(Size(8, 4), "t-lstm", "cosine", "random")

Report = dict[str, Any]
Job = Callable[..., StudentJob]


class Killed(Exception):  # noqa: N818 - it is no error
    """What ends a student from outside."""


@pytest.fixture(scope="module")
def make_job(small_corpus, teacher_file: Path, cache: Path) -> Job:
    """Makes the job of a search in a folder; keywords change it."""
    plan = DataPlan(
        small_corpus.speech, small_corpus.noise, small_corpus.rirs, train_clips=4, val_clips=2, score_clips=1,
        test_clips=2, clip_seconds=1.0,
    )  # fmt: skip
    sets = prepare(plan, cache)

    def make(folder: Path, **changes: Any) -> StudentJob:
        train = TrainConfig(Size(1, 1), epochs=EPOCHS, lr=1e-3, batch=2, seed=5)
        job = StudentJob(
            students=folder, cache=cache, data=plan, sets=sets.folders, train=train,
            teacher=teacher_file, score_every=1, gpu=False, stored=TargetPlan(("t_lstm", "linear")),
        )  # fmt: skip
        return replace(job, **changes)

    return make


def run(job: StudentJob, choice: Choice, number: int = 0, kill_after: int | None = None) -> list[Report]:
    """Runs a student and gives back what it reported; killed at its `kill_after`th report."""
    reports: list[Report] = []

    def report(metrics: Report) -> None:
        reports.append(metrics)
        if len(reports) == kill_after:
            raise Killed

    if kill_after is None:
        assert run_student(job, number, choice, report) == reports[-1]
    else:
        with pytest.raises(Killed):
            run_student(job, number, choice, report)
    return reports


def history(job: StudentJob, number: int = 0) -> list[Report]:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    text = (job.folder(number) / "history.jsonl").read_text()
    return [json.loads(line, parse_constant=refuse) for line in text.splitlines()]


def best_weights(job: StudentJob, number: int = 0) -> bytes:
    return (job.folder(number) / "best.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("choice", "stages"), [(NONE, ["hard"]), (LINEAR, ["soft", "hard"]), (T_LSTM, ["soft", "hard"])]
)
def test_student_reports_every_epoch_and_in_the_end_its_score(
    make_job: Job, tmp_path: Path, choice: Choice, stages: list[str]
) -> None:
    job = make_job(tmp_path)
    *epochs, final = run(job, choice)
    assert [report["epoch"] for report in epochs] == list(range(1, EPOCHS * len(stages) + 1))
    assert [report["stage"] for report in epochs] == [stage for stage in stages for _ in range(EPOCHS)]
    assert final["state"] == "COMPLETE"
    assert final["final"] is True
    assert 1.0 < final["pesq"] < 4.7
    by_snr = [final[f"pesq_{snr}_db"] for snr in ("minus_5", "0", "5", "10", "15")]
    assert final["pesq"] == pytest.approx(np.mean(by_snr))
    assert final["best_epoch"] in [report["epoch"] for report in epochs if report["stage"] == "hard"]

    folder = job.folder(0)
    assert sorted(path.name for path in folder.iterdir()) == [
        "best.safetensors", "config.json", "history.jsonl", "last.pt", "result.json", "scores.json",
        "timing.json",
    ]  # fmt: skip
    assert read_json(folder / "result.json") == final
    assert [line["epoch"] for line in history(job)] == [report["epoch"] for report in epochs]
    scores = read_json(folder / "scores.json")
    assert scores["val"]["pesq"] == final["pesq"]
    assert np.shape(scores["val_table"]) == (1, 5)
    net, recipe = load_network(folder / "best.safetensors")
    assert net.size == choice.size
    assert recipe["choice"]["kd_method"] == choice.kd_method
    config = read_json(folder / "config.json")
    assert TrainConfig.from_dict(config["train"]) == train_config(job, 0, choice)


@pytest.mark.parametrize(
    ("own", "searchs"),
    [
        (replace(T_LSTM, gram_form="frame", gram_normalise="cosine"), {"gram": Gram("frame", "cosine")}),
        (replace(LINEAR, lr=3e-3), {"lr": 3e-3}),
        (replace(COSINE, ramp=0.25), {"ramp": 0.25}),
        (replace(LINEAR, soft_share=0.25), {"soft_share": 0.25}),
        (replace(LINEAR, alpha_schedule="constant", alpha=0.2), {"alpha": 0.2}),
    ],
)
def test_a_setting_of_a_students_own_trains_as_one_of_the_whole_search_does(
    make_job: Job, tmp_path: Path, own: Choice, searchs: dict[str, Any]
) -> None:
    """Also beside students that read cached targets: each has the targets that its Gram form needs."""
    job = make_job(tmp_path / "own")
    if own.gram_form is not None:
        run(job, T_LSTM, number=1)
    one = run(job, own)
    base = make_job(tmp_path / "search")
    shared = replace(base, train=replace(base.train, **searchs))
    other = run(shared, replace(own, **dict.fromkeys(own.settings)))
    plain = run(make_job(tmp_path / "plain"), replace(own, **dict.fromkeys(own.settings)))
    assert len(one) == len(other) == len(plain)

    def losses(reports: list[Report]) -> list[float]:
        return [report["loss_train"] for report in reports[:-1]]

    assert losses(one) == losses(other)
    assert losses(one) != losses(plain)


def test_student_with_a_short_first_stage_is_the_same_after_a_kill(make_job: Job, tmp_path: Path) -> None:
    choice = replace(LINEAR, soft_share=0.25)
    whole, killed = make_job(tmp_path / "whole"), make_job(tmp_path / "killed")
    *epochs, _ = run(whole, choice)
    assert [report["stage"] for report in epochs] == ["soft"] + (2 * EPOCHS - 1) * ["hard"]
    for reports in (1, 2):
        run(killed, choice, kill_after=reports)
    run(killed, choice)
    assert best_weights(killed) == best_weights(whole)


def test_output_that_no_loss_has_touched_is_not_scored_on_the_way(make_job: Job, tmp_path: Path) -> None:
    job = make_job(tmp_path)
    linear, t_lstm, cosine = (run(job, one, number) for number, one in enumerate((LINEAR, T_LSTM, COSINE)))
    assert ["pesq" in report for report in linear] == [True, True, True, False, True]  # trained up to the linear layer
    assert ["pesq" in report for report in t_lstm] == [
        False,
        False,
        True,
        False,
        True,
    ]  # its output is that of its start
    assert ["pesq" in report for report in cosine] == [True, False, True]
    seldom = make_job(tmp_path / "seldom", score_every=2, train=replace(job.train, epochs=5))
    assert ["pesq" in report for report in run(seldom, NONE)] == [False, True, False, True, False, True]


@pytest.mark.parametrize(
    ("choice", "stage"),
    [(NONE, "hard"), (LINEAR, "soft"), (T_LSTM, "hard"), (COSINE, "mixed")],
)
def test_rungs_are_counted_from_the_stage_that_first_trains_the_output(
    make_job: Job, tmp_path: Path, choice: Choice, stage: str
) -> None:
    config = train_config(make_job(tmp_path), 0, choice)
    assert rungs_of((1, 3), config) == {(stage, 1): 0, (stage, 3): 1}


def test_student_is_scored_at_a_rung_however_seldom_it_is_else(make_job: Job, tmp_path: Path) -> None:
    job = make_job(tmp_path, score_every=100, rungs=(1,))
    for number, (choice, at) in enumerate([(NONE, 1), (LINEAR, 1), (T_LSTM, 3)]):
        *epochs, final = run(job, choice, number)
        assert [report["epoch"] for report in epochs if "pesq" in report] == [at]
        assert [report["epoch"] for report in epochs if report.get("rung") == 0] == [at]
        assert "rung" not in final
        assert history(job, number)[at - 1]["rung"] == 0


def test_last_epoch_is_no_rung_and_neither_is_one_after_the_time(make_job: Job, tmp_path: Path) -> None:
    assert all("rung" not in report for report in run(make_job(tmp_path, rungs=(EPOCHS,)), NONE))
    late = run(make_job(tmp_path, rungs=(1,), deadline=0.0), NONE, number=1)
    assert all("rung" not in report for report in late)
    assert late[-1]["state"] == "COMPLETE"


def test_student_that_ends_at_a_rung_goes_on_as_if_it_had_not(make_job: Job, tmp_path: Path) -> None:
    whole, paused = make_job(tmp_path / "whole", rungs=(1,)), make_job(tmp_path / "paused", rungs=(1,))
    *_, expected = run(whole, NONE)
    assert run(paused, NONE, kill_after=1)[-1]["rung"] == 0
    assert (paused.folder(0) / "timing.json").exists()
    again = run(paused, NONE)
    assert (again[0]["epoch"], again[0]["rung"]) == (1, 0), "it is decided on again: the driver may not have heard it"
    assert best_weights(paused) == best_weights(whole)
    assert again[-1]["pesq"] == expected["pesq"]


def test_student_that_waits_to_the_end_leaves_its_best_score_and_is_trained_on_when_it_is_promoted(
    make_job: Job, tmp_path: Path
) -> None:
    job = make_job(tmp_path, rungs=(1,))
    reports = run(job, LINEAR, kill_after=1)
    result = leave_halved(job.folder(0))
    assert result == read_json(job.folder(0) / "result.json")
    assert result.items() >= {"state": "PRUNED", "stopped": "halved", "epoch": 1, "best_epoch": 1}.items()
    assert result["pesq"] == reports[0]["pesq"]
    assert result["seconds"] == reports[0]["seconds"]
    again = run(job, LINEAR)
    assert [report["epoch"] for report in again[:-1]] == [1, 2, 3, 4], "from its checkpoint on"
    assert again[-1]["state"] == "COMPLETE"
    assert again[-1] == read_json(job.folder(0) / "result.json")


@pytest.mark.parametrize("reports", [1, 3])
def test_student_killed_and_run_again_is_the_one_that_was_not(make_job: Job, tmp_path: Path, reports: int) -> None:
    whole, killed = make_job(tmp_path / "whole"), make_job(tmp_path / "killed")
    *_, expected = run(whole, LINEAR)
    run(killed, LINEAR, kill_after=reports)
    again = run(killed, LINEAR)
    # the last report may not have been heard, and comes again
    assert [report["epoch"] for report in again[:-1]] == list(range(reports, 2 * EPOCHS + 1))
    assert [line["epoch"] for line in history(killed)] == list(range(1, 2 * EPOCHS + 1))
    assert best_weights(killed) == best_weights(whole)
    for name in ("pesq", "epoch", "best_epoch", "state"):
        assert again[-1][name] == expected[name]


@pytest.mark.parametrize("choice", [NONE, LINEAR])
def test_epoch_that_was_trained_but_not_reported_is_scored_and_reported_later(
    make_job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, choice: Choice
) -> None:
    def killed(*_: Any, **__: Any) -> Scores:
        raise Killed

    whole, job = make_job(tmp_path / "whole", rungs=(1,)), make_job(tmp_path / "killed", rungs=(1,))
    *expected, _ = run(whole, choice)
    assert (expected[0]["epoch"], expected[0]["rung"]) == (1, 0)
    with monkeypatch.context() as patch:
        patch.setattr(search.judge, "begin_score", killed)  # after the checkpoint, before the report
        with pytest.raises(Killed):
            run_student(job, 0, choice, lambda report: None)
    assert not (job.folder(0) / "history.jsonl").exists()
    *again, _ = run(job, choice)
    for name in ("epoch", "rung", "pesq"):
        assert [report.get(name) for report in again] == [report.get(name) for report in expected]
        assert [line.get(name) for line in history(job)] == [report.get(name) for report in expected]


def test_student_scored_beside_its_training_is_the_same_and_waits_at_rungs_alone(make_job: Job, tmp_path: Path) -> None:
    here = make_job(tmp_path / "here", rungs=(1,))
    beside = replace(here, students=tmp_path / "beside", pesq_workers=1)
    told_of, trained = [], []

    def report(metrics: Report) -> None:
        told_of.append(metrics)
        trained.append(torch.load(beside.folder(0) / "last.pt", weights_only=True)["history"][-1]["epoch"])

    expected = run(here, LINEAR)
    run_student(beside, 0, LINEAR, report)
    for name in ("epoch", "stage", "loss_train", "pesq", "pesq_0_db", "rung", "state", "best_epoch", "final"):
        assert [one.get(name) for one in told_of] == [one.get(name) for one in expected], name
    assert [one.get("rung") for one in told_of[:2]] == [0, None]
    assert trained[:3] == [1, 3, 4], "the rung at once; what needs no decision while the next epoch is trained"
    assert best_weights(beside) == best_weights(here)


def test_student_scored_beside_its_training_and_killed_between_two_epochs_loses_no_score(
    make_job: Job, tmp_path: Path
) -> None:
    whole, killed = make_job(tmp_path / "whole"), make_job(tmp_path / "killed", pesq_workers=1)
    run(whole, NONE)
    run(killed, NONE, kill_after=1)
    run(killed, NONE)
    told = {line["epoch"]: line.get("pesq") for line in history(killed)}
    assert told == {line["epoch"]: line.get("pesq") for line in history(whole)}


def test_line_of_the_history_that_a_crash_has_torn_is_told_again(make_job: Job, tmp_path: Path) -> None:
    job = make_job(tmp_path)
    run(job, LINEAR, kill_after=3)
    path = job.folder(0) / "history.jsonl"
    first, second, third = path.read_text().splitlines()
    path.write_text(f"{first}\n{second[:20]}{second}\n{third[:-9]}")  # one torn long ago, one just now
    again = run(job, LINEAR)
    assert sorted({report["epoch"] for report in again[:-1]}) == [1, 2, 3, 4]
    whole = [json.loads(line) for line in path.read_text().splitlines() if line != second[:20] + second]
    assert sorted(line["epoch"] for line in whole) == [1, 2, 3, 4]


def test_student_does_not_go_on_with_other_sets_than_it_began_with(
    make_job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job(tmp_path)
    run(job, NONE, kill_after=1)
    monkeypatch.setattr(Sets, "digests", property(lambda sets: {"train": "changed"}))
    with pytest.raises(InputError, match="checkpoint of other settings or other data"):
        run_student(job, 0, NONE, lambda report: None)


def test_finished_student_is_not_trained_again(make_job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = make_job(tmp_path)
    final = run(job, NONE)[-1]

    def no_training(*_: Any, **__: Any) -> None:
        raise AssertionError("a finished student must not be trained")

    monkeypatch.setattr(search.student, "Training", no_training)
    before = {path: path.stat().st_mtime_ns for path in job.folder(0).iterdir()}
    assert run(job, NONE) == [final]
    assert {path: path.stat().st_mtime_ns for path in job.folder(0).iterdir()} == before


def test_time_that_ends_before_the_output_is_trained_gives_no_score(make_job: Job, tmp_path: Path) -> None:
    for number, choice in enumerate((T_LSTM, LINEAR)):
        job = make_job(tmp_path, deadline=0.0)
        reports = run(job, choice, number)
        assert [report["epoch"] for report in reports] == [1, 1]  # the epoch that was begun is ended
        final = reports[-1]
        assert (final["state"], final["stopped"]) == ("PRUNED", "time")
        assert "pesq" not in final
        assert not (job.folder(number) / "scores.json").exists()


def test_time_that_ends_with_the_soft_stage_gives_no_score_without_weights(make_job: Job, tmp_path: Path) -> None:
    job = make_job(tmp_path, deadline=0.0)
    job = replace(job, train=replace(job.train, epochs=1))
    final = run(job, LINEAR)[-1]
    assert final["epoch"] == 1  # of the soft stage the only one; the hard stage, which keeps weights, never began
    assert final["state"] == "PRUNED"


def test_time_that_ends_in_the_last_stage_gives_the_score_of_the_best_epoch_so_far(
    make_job: Job, tmp_path: Path
) -> None:
    for number, choice in enumerate((NONE, COSINE)):
        job = make_job(tmp_path, deadline=0.0)
        final = run(job, choice, number)[-1]
        assert (final["state"], final["stopped"], final["epoch"], final["best_epoch"]) == ("COMPLETE", "time", 1, 1)
        assert final["pesq"] > 1
        assert (job.folder(number) / "best.safetensors").exists()


@pytest.mark.parametrize("choice", [NONE, LINEAR])
def test_student_that_the_time_cut_short_goes_on_when_there_is_more(
    make_job: Job, tmp_path: Path, choice: Choice
) -> None:
    whole, cut = make_job(tmp_path / "whole"), make_job(tmp_path / "cut", deadline=0.0)
    *_, expected = run(whole, choice)
    result = run(cut, choice)[-1]
    assert run(cut, choice) == [result], "it is asked again, and there is no more time"
    again = run(replace(cut, deadline=time.time() + 1e6), choice)
    assert [report["epoch"] for report in again[:-1]] == list(range(1, expected["epoch"] + 1))
    assert best_weights(cut) == best_weights(whole)
    assert (again[-1]["pesq"], again[-1]["stopped"]) == (expected["pesq"], "")
    assert run(cut, choice) == [again[-1]]


def test_student_that_goes_on_has_its_score_and_the_weights_of_it_until_it_has_a_new_one(
    make_job: Job, tmp_path: Path
) -> None:
    job = make_job(tmp_path, deadline=0.0)
    job = replace(job, train=replace(job.train, epochs=4))
    result = run(job, NONE)[-1]
    scored, folder = best_weights(job), job.folder(0)
    scores = read_json(folder / "scores.json")
    longer = replace(job, deadline=time.time() + 1e6)
    for _ in range(2):
        run(longer, NONE, kill_after=2)  # the epoch before comes again
        assert best_weights(job) != scored, "the training found a better epoch"
        assert (read_json(folder / "result.json"), read_json(folder / "scores.json")) == (result, scores)
        assert scored_weights(folder).read_bytes() == scored
    final = run(job, NONE)[-1]
    assert (final["epoch"], final["stopped"]) == (4, ""), "killed as it went on: it does, time or not"
    assert read_json(folder / "result.json") == final
    assert scored_weights(folder).read_bytes() == best_weights(job) != scored
    assert read_json(folder / "scores.json")["weights_sha256"] == file_digest(folder / "best.safetensors")
    assert not (folder / "standing.safetensors").exists()


def test_student_that_diverges_as_it_goes_on_keeps_its_score(
    make_job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job(tmp_path, deadline=0.0)
    result = run(job, NONE)[-1]
    scored = best_weights(job)
    monkeypatch.setattr(model.objective, "hard_loss", lambda estimate, clean: math.nan * estimate.sum())
    with pytest.raises(ArithmeticError):
        run_student(replace(job, deadline=None), 0, NONE, lambda report: None)
    assert read_json(job.folder(0) / "result.json") == result
    assert scored_weights(job.folder(0)).read_bytes() == scored


def test_start_comes_from_the_seed_and_from_the_teacher_or_not(make_job: Job, tmp_path: Path) -> None:
    job = make_job(tmp_path)
    sets = search.student.open_sets(job.data, job.sets, job.cache)
    assert job.teacher is not None
    teacher, _ = load_network(job.teacher)

    def start(choice: Choice, number: int = 0) -> torch.Tensor:
        net = start_network(train_config(job, number, choice), teacher, "product", sets.val)
        return torch.cat([parameter.detach().flatten() for parameter in net.parameters()])

    slice_, random = NONE, replace(NONE, init="random")
    assert torch.equal(start(slice_), start(slice_, number=1))  # nothing is drawn
    assert torch.equal(start(random), start(random))
    assert not torch.equal(start(random), start(random, number=1))
    assert not torch.equal(start(random), start(slice_))
    with pytest.raises(InputError, match="--init random"):
        start_network(train_config(job, 0, slice_), None, "product", sets.val)


def test_same_seed_and_number_give_the_same_student(make_job: Job, tmp_path: Path) -> None:
    first, second = make_job(tmp_path / "first"), make_job(tmp_path / "second")
    for job in (first, second):
        run(job, COSINE)
        run(job, COSINE, number=1)
    assert best_weights(first) == best_weights(second)
    assert best_weights(first, 1) != best_weights(first)


def test_search_without_a_teacher_trains_all_the_same(make_job: Job, tmp_path: Path) -> None:
    job = make_job(tmp_path, teacher=None)
    assert run(job, replace(NONE, init="random"))[-1]["state"] == "COMPLETE"


def test_students_on_fresh_scenes_share_the_teachers_outputs(
    make_job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = make_job(tmp_path)
    data = replace(one.data, remix=True)
    job = replace(one, data=data, sets=prepare(data, one.cache).folders)
    computed: list[int] = []
    compute = FreshTargets._compute
    monkeypatch.setattr(FreshTargets, "_compute", lambda self, i, *rest: computed.extend(i) or compute(self, i, *rest))
    assert run(job, COSINE)[-1]["state"] == "COMPLETE"
    distinct = len(computed)
    assert 0 < distinct <= EPOCHS * data.train_clips
    assert run(job, Choice.of(Size(6, 4), "t-lstm", "cosine", "random"), number=1)[-1]["state"] == "COMPLETE"
    assert len(computed) == distinct  # the same scenes, in other batches: the teacher ran once on each


@pytest.mark.parametrize("reports", [1, 2])
@pytest.mark.parametrize("choice", [LINEAR, COSINE])
def test_student_on_fresh_scenes_killed_and_run_again_is_the_one_that_was_not(
    make_job: Job, tmp_path: Path, choice: Choice, reports: int
) -> None:
    one = make_job(tmp_path)
    data, cycle = replace(one.data, remix=True), TargetPlan(("t_lstm", "linear"), cycle=1)
    job = replace(one, data=data, sets=prepare(data, one.cache).folders, stored=cycle)
    whole, killed = (replace(job, students=tmp_path / name) for name in ("whole", "killed"))
    *_, expected = run(whole, choice)
    run(killed, choice, kill_after=reports)
    assert run(killed, choice)[-1]["pesq"] == expected["pesq"]
    assert best_weights(killed) == best_weights(whole)
    again = replace(killed, stored=replace(cycle, cycle=2))
    run(again, choice, number=1, kill_after=1)
    with pytest.raises(InputError, match="checkpoint of other settings"):  # other scenes are another training
        run(replace(again, stored=cycle), choice, number=1)


def test_all_students_on_fresh_scenes_hear_those_of_the_cycle(
    make_job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = make_job(tmp_path)
    data = replace(one.data, remix=True)
    job = replace(one, data=data, sets=prepare(data, one.cache).folders, stored=TargetPlan(("linear",), cycle=1))
    heard: set[int] = set()
    batch = FreshScenes.batch

    def listen(self: FreshScenes, indices: Any, epoch: int = 0) -> Any:
        noisy, clean = batch(self, indices, epoch)
        heard.update(hash(one.numpy().tobytes()) for one in noisy)
        return noisy, clean

    monkeypatch.setattr(FreshScenes, "batch", listen)
    for number, choice in enumerate((NONE, LINEAR, COSINE)):
        run(job, choice, number)
    assert len(heard) == data.train_clips


def test_whole_grams_and_targets_that_do_not_fit_have_the_teacher_beside_them(
    make_job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remix = make_job(tmp_path)
    monkeypatch.setattr(search.stored, "build_targets", lambda *a, **k: pytest.fail("targets on disk"))
    assert run(replace(remix, stored=TargetPlan(("linear",))), COSINE, number=2)[-1]["state"] == "COMPLETE"
    frame = replace(remix, train=replace(remix.train, gram=replace(remix.train.gram, form="frame")))
    assert run(frame, COSINE, number=1)[-1]["state"] == "COMPLETE"


def test_training_that_diverges_fails_and_stays_failed(
    make_job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(model.objective, "hard_loss", lambda estimate, clean: math.nan * estimate.sum())
        with pytest.raises(ArithmeticError, match="the loss of student 0 is nan in epoch 1"):
            run_student(job, 0, NONE, lambda report: None)
    with pytest.raises(ArithmeticError, match="the loss of student 0 is nan in epoch 1"):  # as Tune tries again
        run_student(job, 0, NONE, lambda report: None)
    assert not (job.folder(0) / "result.json").exists()


def test_student_whose_output_cannot_be_scored_has_failed(
    make_job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = Scores(np.full((2, 5), math.nan))
    monkeypatch.setattr(search.judge, "begin_score", lambda *_, **__: lambda: nothing)
    job = make_job(tmp_path)
    final = run(job, NONE)[-1]
    assert (final["state"], final["unscored"]) == ("FAIL", 10)
    assert read_json(job.folder(0) / "result.json")["pesq"] is None
    assert history(job)[0]["pesq"] is None


def test_names_of_metrics_are_ones_that_mlflow_takes() -> None:
    names = score_metrics(Scores(np.ones((2, 5))))
    assert list(names) == ["pesq", "pesq_minus_5_db", "pesq_0_db", "pesq_5_db", "pesq_10_db", "pesq_15_db"]


def test_rungs_of_a_longer_stage_are_the_same_shares_of_it() -> None:
    config = TrainConfig(Size(8, 4), method="t-lstm", schedule="two-stage", epochs=10, soft_share=0.25)
    assert config.stage_epochs == (5, 15)
    assert rungs_of((3,), config) == {("hard", 4): 0}
