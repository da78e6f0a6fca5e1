"""The driver's side of the trials, with a tracker that records what it is told."""

from __future__ import annotations

import io
import logging
import pickle
import re
from dataclasses import asdict, fields, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from data.plan import DataPlan
from model.ftjnf import Size
from model.gram import Gram
from model.macs import paper_gmac
from model.target_plan import TargetPlan
from model.train_config import TrainConfig
from search.dimensions import SETTINGS
from search.follow import Follower, student_params, teacher_params
from search.live import LiveTable
from search.space import Choice
from search.student import StudentJob

JOB = StudentJob(
    students=Path("students"), cache=Path("cache"), data=DataPlan(), sets={},
    train=TrainConfig(Size(8, 4), epochs=7, lr=2e-3, batch=3, gram=Gram(normalise="cosine"), seed=40),
    teacher=None, score_every=1, gpu=False,
)  # fmt: skip


class RecordingTracker:
    """In place of a `search.tracking.Tracker`."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *arguments: self.calls.append((name, *arguments))

    def of(self, name: str) -> list[tuple[Any, ...]]:
        return [call[1:] for call in self.calls if call[0] == name]


class BrokenTracker:
    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(f"the store broke at {name}")


def trial(number: int = 3, error: Exception | None = None) -> Any:
    choice = Choice.of(Size(80, 32), "linear", "two-stage", "slice")
    config = {"number": number, "choice": asdict(choice)}
    return SimpleNamespace(config=config, get_pickled_error=lambda: error, error_file=None)


@pytest.fixture
def table() -> LiveTable:
    return LiveTable(Console(file=io.StringIO()), 10, 4, None)


EPOCH = {
    "epoch": 4, "stage": "soft", "alpha": 0.0, "lr": 5e-4, "loss_train": 0.7, "loss_val_soft": 0.8, "pesq": 1.4,
    "training_iteration": 9, "pid": 1, "date": "today", "done": False, "trial_id": "a",
}  # fmt: skip
FINAL = {"epoch": 20, "pesq": 1.6, "state": "COMPLETE", "final": True, "stopped": "", "done": True}


def test_what_a_trial_reports_reaches_the_tracker(table: LiveTable) -> None:
    tracker, finished = RecordingTracker(), []
    follower = Follower(table, tracker, JOB, finished.append)  # type: ignore[arg-type]
    follower.on_trial_start(0, [], trial())
    ((number, params, name),) = tracker.of("student")
    assert number == 3
    assert params.items() >= {"trial": 3, "f_hidden": 80, "kd_method": "linear", "init": "slice"}.items()
    assert params.items() >= {"lr": 2e-3, "teacher": "none"}.items()
    assert "80/32" in name
    ((_, costs, step),) = tracker.of("log")
    assert costs["paper_gmac"] == paper_gmac(Size(80, 32))
    assert costs.keys() >= {"gmac_per_s", "parameters"}
    assert step == 0

    follower.on_trial_result(1, [], trial(), EPOCH)
    _, metrics, step = tracker.of("log")[-1]
    assert step == 4
    assert metrics["stage"] == 1.0  # MLflow draws numbers only
    assert metrics.items() >= {"alpha": 0.0, "lr": 5e-4, "loss_train": 0.7, "loss_val_soft": 0.8, "pesq": 1.4}.items()
    assert not metrics.keys() & {"training_iteration", "pid", "date", "done", "trial_id"}
    assert not finished
    assert not tracker.of("end_student")

    follower.on_trial_result(2, [], trial(), FINAL)
    ((_, metrics, step),) = tracker.of("figures")  # what MLflow shows from now on: the student that is kept
    assert (metrics["pesq"], step) == (1.6, 20)
    assert tracker.of("end_student") == [(3, "FINISHED")]
    assert finished == [3]


def test_parameters_of_a_student_are_all_that_its_training_depends_on(teacher_file: Path) -> None:
    choice = Choice.of(Size(80, 32, bi_freq=True), "none", "two-stage", "random")
    params = student_params(JOB, 3, choice)
    own = {name: value for name, value in asdict(choice).items() if name not in SETTINGS}
    assert params.items() >= own.items()
    varied = Choice.of(
        Size(80, 32), "t-lstm", "constant", "slice", alpha=0.3, lr=1e-4, gram_form="frame", gram_normalise="plain"
    )
    assert student_params(JOB, 3, varied).items() >= varied.settings.items()
    assert params.items() >= {
        "trial": 3, "size": "80/32bi", "lr": 2e-3, "batch": 3, "epochs": 7, "seed": 43, "clip_norm": "none",
        "gram_form": "positions", "gram_normalise": "cosine", "gram_positions": 1024, "soft_scale": "first",
        "precision": "fp32", "alpha": 0.5,
    }.items()  # fmt: skip
    elsewhere = {"size", "method", "schedule", "init", "gram"}  # under the names that records have, or flat
    assert params.keys() >= {field.name for field in fields(TrainConfig)} - elsewhere
    assert all(re.fullmatch(r"[\w.\-/ ]+", name) for name in params)
    assert not any(isinstance(value, (dict, list)) for value in params.values())

    teacher = teacher_params(teacher_file)
    assert teacher["teacher"] == "24/8"
    assert re.fullmatch("[0-9a-f]{16}", teacher["teacher_digest"])
    assert teacher_params(None) == {"teacher": "none", "teacher_digest": "none"}


@pytest.mark.parametrize(("state", "status"), [("COMPLETE", "FINISHED"), ("PRUNED", "KILLED"), ("FAIL", "FAILED")])
def test_run_ends_as_its_student_did(table: LiveTable, state: str, status: str) -> None:
    tracker = RecordingTracker()
    follower = Follower(table, tracker, JOB, lambda number: None)  # type: ignore[arg-type]
    follower.on_trial_start(0, [], trial())
    follower.on_trial_result(1, [], trial(), FINAL | {"state": state, "stopped": "time"})
    assert tracker.of("end_student") == [(3, status)]
    assert tracker.of("tag_student")[-1] == (3, {"result": state, "stopped": "time"})


def test_run_of_a_student_that_waits_stays_open_until_it_goes_on_or_the_search_ends(table: LiveTable) -> None:
    tracker, finished = RecordingTracker(), []
    follower = Follower(table, tracker, JOB, finished.append)  # type: ignore[arg-type]
    follower.on_trial_start(0, [], trial())
    follower.on_trial_result(1, [], trial(), EPOCH | {"rung": 0})
    follower.paused(3)
    assert tracker.of("tag_student")[-1] == (3, {"stopped": "paused"})
    assert not tracker.of("end_student")
    assert table.rows[3].state == "paused"
    follower.on_trial_start(2, [], trial())
    assert [number for number, *_ in tracker.of("student")] == [3, 3]  # which continues its run
    assert tracker.of("tag_student")[-1][1]["stopped"] == "no"

    follower.halved(3, {"state": "PRUNED", "stopped": "halved", "pesq": 1.4})
    assert tracker.of("tag_student")[-1] == (3, {"result": "PRUNED", "stopped": "halved"})
    assert tracker.of("end_student") == [(3, "KILLED")]
    assert not finished


def test_failed_trial_ends_its_run_with_the_reason(table: LiveTable) -> None:
    tracker = RecordingTracker()
    follower = Follower(table, tracker, JOB, lambda number: None)  # type: ignore[arg-type]
    follower.on_trial_start(0, [], trial())
    follower.on_trial_error(1, [], trial(error=ArithmeticError("Traceback ...\nthe loss is nan")))
    assert tracker.of("tag_student")[-1] == (3, {"result": "FAIL", "error": "the loss is nan"})
    assert tracker.of("end_student") == [(3, "FAILED")]
    assert table.rows[3].state == "failed"
    assert follower.last_error == "the loss is nan"


def test_student_whose_machine_is_lost_has_not_failed(table: LiveTable) -> None:
    tracker = RecordingTracker()
    follower = Follower(table, tracker, JOB, lambda number: None)  # type: ignore[arg-type]
    follower.on_trial_start(0, [], trial())
    follower.on_trial_recover(1, [], trial())
    assert table.rows[3].state == "waiting"
    assert tracker.of("end_student") == []


def test_reason_of_a_student_that_failed_stands_on_its_run(table: LiveTable) -> None:
    tracker = RecordingTracker()
    follower = Follower(table, tracker, JOB, lambda number: None)  # type: ignore[arg-type]
    follower.on_trial_start(0, [], trial())
    failed = {"state": "FAIL", "final": True, "stopped": "diverged", "reason": "the loss is nan"}
    follower.on_trial_result(1, [], trial(), failed)
    assert tracker.of("tag_student")[-1] == (3, {"result": "FAIL", "stopped": "diverged", "error": "the loss is nan"})
    assert tracker.of("end_student") == [(3, "FAILED")]
    assert table.rows[3].state == "failed (diverged)"


def test_nothing_that_goes_wrong_leaves_the_follower(table: LiveTable, caplog: pytest.LogCaptureFixture) -> None:
    def broken(number: int) -> None:
        raise ValueError("no figure can be drawn")

    followers = (
        Follower(table, BrokenTracker(), JOB, broken),  # type: ignore[arg-type]
        Follower(table, RecordingTracker(), JOB, broken),  # type: ignore[arg-type]
    )
    with caplog.at_level(logging.ERROR):
        for follower in followers:
            follower.on_trial_start(0, [], trial())
            follower.on_trial_result(1, [], trial(), EPOCH)
            follower.on_trial_result(1, [], trial(), {"nonsense": object()})
            follower.on_trial_result(2, [], trial(), FINAL)
            follower.on_trial_error(3, [], trial())
            follower.on_trial_start(0, [], SimpleNamespace(config={}))
    assert "the store broke at student" in caplog.text
    assert "no figure can be drawn" in caplog.text


def test_copy_that_tune_keeps_with_the_experiment_follows_nothing(table: LiveTable) -> None:
    tracker = RecordingTracker()
    copy = pickle.loads(pickle.dumps(Follower(table, tracker, JOB, lambda number: None)))  # type: ignore[arg-type]
    copy.on_trial_start(0, [], trial())
    copy.on_trial_result(1, [], trial(), FINAL)
    copy.on_trial_error(1, [], trial())
    assert not tracker.calls


def test_what_was_not_stored_of_the_teacher_is_a_parameter_of_its_students() -> None:
    choice = Choice.of(Size(80, 32), "linear", "two-stage", "slice")
    job = replace(JOB, teacher=Path("teacher"))
    assert student_params(job, 0, choice) == student_params(JOB, 0, choice)
    bound = student_params(replace(job, stored=TargetPlan(("t_lstm",), cycle=3)), 0, choice)
    assert bound.items() - student_params(JOB, 0, choice).items() == {("targets_cycle", 3), ("targets_stored", 0)}
