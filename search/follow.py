"""The driver's side of every trial: what Tune reports goes to the table, to MLflow and into the front."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ray import tune

from model.targets import network_digest
from model.weights import load_network
from search.dimensions import SETTINGS
from search.live import LiveTable
from search.results import costs
from search.space import Choice
from search.student import StudentJob, train_config
from search.tracking import State, Tracker

log = logging.getLogger(__name__)


class Follower(tune.Callback):
    """Follows the trials. Nothing that goes wrong in here ends a search.

    Args:
        table: for the person.
        tracker: for MLflow.
        job: what all students share.
        finished: called with the number of a student that has its result.

    Attributes:
        last_error: what the latest trial that Tune gave up said, and where its traceback is.
    """

    def __init__(self, table: LiveTable, tracker: Tracker, job: StudentJob, finished: Callable[[int], None]) -> None:
        self._table: LiveTable | None = table
        self._tracker: Tracker | None = tracker
        self._job: StudentJob | None = job
        self._teacher = teacher_params(job.teacher)
        self._finished: Callable[[int], None] | None = finished
        self.last_error = ""

    def __getstate__(self) -> dict[str, Any]:
        """Tune pickles its callbacks with the experiment; such a copy follows nothing."""
        return {"_table": None, "_tracker": None, "_job": None, "_finished": None, "last_error": ""}

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Opens the student's row and run."""
        self._guard(self._start, trial)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Logs an epoch, or the end."""
        self._guard(self._result, trial, result)

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Says that a student's process or machine is gone, and that it will go on."""
        self._guard(self._recover, trial)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Ends the student's run as failed."""
        self._guard(self._error, trial)

    def paused(self, number: int) -> None:
        """Notes that a student waits at a rung; its run stays open, as it may be trained on."""
        self._guard(self._paused, number)

    def halved(self, number: int, result: dict[str, Any]) -> None:
        """Ends the run of a student that waited at a rung until the end of the search; it begins again with it."""
        self._guard(self._halved, number, result)

    def _paused(self, number: int) -> None:
        if self._table is not None:
            self._table.paused(number)
        if self._tracker is not None:
            self._tracker.tag_student(number, {"stopped": "paused"})

    def _halved(self, number: int, result: dict[str, Any]) -> None:
        if self._tracker is not None:
            self._tracker.tag_student(number, {"result": result["state"], "stopped": result["stopped"]})
            self._tracker.end_student(number, "KILLED")

    def _start(self, trial: Any) -> None:
        number, choice = trial.config["number"], Choice(**trial.config["choice"])
        if self._table is not None and self._job is not None:
            self._table.started(number, choice, len(choice.training(self._job.train).stages))
        if self._tracker is not None and self._job is not None:
            params = student_params(self._job, number, choice) | self._teacher
            self._tracker.student(number, params, f"{number:03d} {choice.size} {choice.kd_method}")
            # `result` anew: a student that goes on had one, of the epochs that it had
            tags = {"kd_method": choice.kd_method, "init": choice.init, "stopped": "no", "result": "none"}
            self._tracker.tag_student(number, tags)
            self._tracker.log(number, costs(choice.size), 0)

    def _result(self, trial: Any, result: dict[str, Any]) -> None:
        number = trial.config["number"]
        if self._table is not None:
            self._table.reported(number, result)
        metrics = {
            name: value
            for name, value in result.items()
            if isinstance(value, (int, float)) and not isinstance(value, bool) and name not in _TUNES_OWN
        }
        stages = {"soft": 1.0, "mixed": 1.0, "hard": 2.0}
        if "stage" in result:
            metrics["stage"] = stages.get(result["stage"], 0.0)
        if self._tracker is not None:
            # the last report tells the best epoch's score: the run's latest `pesq` is that of the student that is kept
            say = self._tracker.figures if result.get("final") else self._tracker.log
            say(number, metrics, result.get("epoch", 0))
            if result.get("final"):
                tags = {"result": result["state"], "stopped": result.get("stopped") or "no"}
                self._tracker.tag_student(number, tags | ({"error": result["reason"]} if "reason" in result else {}))
                ends: dict[str, State] = {"COMPLETE": "FINISHED", "FAIL": "FAILED"}
                self._tracker.end_student(number, ends.get(result["state"], "KILLED"))
        if result.get("final") and self._finished is not None:
            self._finished(number)

    def _recover(self, trial: Any) -> None:
        if self._table is not None:
            self._table.lost(trial.config["number"])

    def _error(self, trial: Any) -> None:
        number = trial.config["number"]
        text = getattr(trial, "get_pickled_error", lambda: None)() or trial.error_file or "unknown"
        reason = str(text).strip().splitlines()[-1] if str(text).strip() else "unknown"
        self.last_error = reason + (f" (traceback in {trial.error_file})" if trial.error_file else "")
        if self._table is not None:
            self._table.failed(number, self.last_error)
        if self._tracker is not None:
            self._tracker.tag_student(number, {"result": "FAIL", "error": reason})
            self._tracker.end_student(number, "FAILED")

    @staticmethod
    def _guard(function: Callable[..., None], *arguments: Any) -> None:
        try:
            function(*arguments)
        except Exception:
            log.exception("a search goes on without having noted this")


def student_params(job: StudentJob, number: int, choice: Choice) -> dict[str, Any]:
    """All parameters of a student's training, flat and under names that MLflow allows.

    Those that say what was chosen come under the names that records have, and the training's own names for the same
    are left out: MLflow's compare view shows each thing once. What the choice leaves to the search stands as it is
    trained with.
    """
    train = train_config(job, number, choice).to_dict()
    gram = train.pop("gram")
    for name in ("size", "method", "schedule", "init"):
        del train[name]
    chosen = {name: value for name, value in asdict(choice).items() if name not in SETTINGS}
    params = {"trial": number, "size": str(choice.size)} | chosen | train
    params |= {f"gram_{name}": value for name, value in gram.items()}
    params |= {} if job.teacher is None else job.stored.shapes(choice.kd_method)
    return {name: "none" if value is None else value for name, value in params.items()}


def teacher_params(path: Path | None) -> dict[str, str]:
    """Size and digest of the teacher in a weights file, for the parameters of its students."""
    if path is None:
        return {"teacher": "none", "teacher_digest": "none"}
    net, _ = load_network(path)
    return {"teacher": str(net.size), "teacher_digest": network_digest(net)}


_TUNES_OWN = {
    "training_iteration", "timestamp", "time_this_iter_s", "time_total_s", "time_since_restore", "pid",
    "iterations_since_restore", "timesteps_total", "episodes_total",
}  # fmt: skip
