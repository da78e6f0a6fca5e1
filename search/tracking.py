"""The search in MLflow: one parent run a search, one child run a student, written by the driver alone.

After `Tracker.open` every write goes through an `Outbox`: it is queued and sent by one background thread, so that a slow,
absent or broken store never delays or ends a training. One writer, because concurrent first writers break a fresh SQLite
store. The runs of a search are found again by the tag `search_id`, which lives in the run folder beside its students: a
resumed search continues its own runs, and a new search of an old name does not.
"""

from __future__ import annotations

import math
import os
import re
import shlex
import threading
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from data.errors import InputError
from data.files import read_json, write_json
from search.outbox import Outbox, Record, RefusedError
from search.store import absolute_uri, artifact_folder, prepare_store, quiet

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

State = Literal["FINISHED", "FAILED", "KILLED"]

# Parameters also set as tags: MLflow's run list filters and groups by them.
_TAGGED = ("kd_method", "alpha_schedule", "init")
_PARAM_LENGTH = 500  # the least of what servers in use accept
_TAG_LENGTH = 5000
_BATCH = 100  # parameters or tags in one request

# Answers that stay the same however often one asks. Others (a lost connection, a locked file, a proxy's 502) may pass.
_REFUSALS = frozenset(
    {"BAD_REQUEST", "INVALID_PARAMETER_VALUE", "INVALID_STATE", "PERMISSION_DENIED"}
    | {"RESOURCE_ALREADY_EXISTS", "RESOURCE_DOES_NOT_EXIST"}
)

# Set unless the user has: no telemetry, and a dead server is known in seconds (MLflow's own: 8 tries of 120 s).
# The environment belongs to the whole process, hence set once by the constructor and not around each call of a thread.
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
}


class Tracker:
    """Writes one search to one MLflow store. Its methods may be called from any thread.

    Only `open` raises and only `open`, `flush` and `close` wait. Students are named by their number in the search.
    What cannot be written ends in `tracking-lost.jsonl` in the run folder, one JSON object a line, said once as a warning.

    Args:
        uri: the store: `sqlite:///FILE` (made if absent), a database's address, or an MLflow server's URL.
        experiment: the MLflow experiment, made if absent.
        folder: the run folder.
    """

    def __init__(self, uri: str, experiment: str, folder: Path) -> None:
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        self._uri = absolute_uri(uri)
        self._experiment = experiment
        self._folder = Path(folder)
        self._outbox = Outbox(self._write, self._answers, self._folder / "tracking-lost.jsonl")
        self._opening = False
        self._opened = threading.Event()
        self._client: MlflowClient
        self._experiment_id = ""
        self._search_id = ""
        self._parent = ""
        self._students: dict[int, tuple[str, dict[str, str]]] = {}  # run name and parameters, as asked for
        self._running: set[int] = set()
        self._runs: dict[int, str] = {}  # number -> run id, as far as known
        self._steps: dict[tuple[str, str], set[int]] = {}  # (run id, metric) -> steps the store has
        self._uploaded: dict[str, tuple[int, int]] = {}  # path -> time and size of what was uploaded last

    def open(self, name: str, params: Mapping[str, Any], tags: Mapping[str, Any]) -> str:
        """Connects, makes what is missing, and begins or continues the search's parent run.

        A continued parent is RUNNING again; its children that an ended driver left RUNNING become KILLED. Parameters
        the parent has already are left as they are. Takes some seconds on first use; may be called in a thread while
        records are queued already.

        Returns:
            The parent's run id.

        Raises:
            InputError: the store cannot be reached or used.
        """
        self._opening = True
        try:
            with quiet():
                self._open(name, params, tags)
        except InputError:
            raise
        except Exception as error:  # MLflow, SQLAlchemy, a driver or the file system: to the user it is all one
            raise InputError(
                f"the tracking store {_without_password(self._uri)} cannot be used ({_first_line(error)}); give "
                "--tracking-uri a running MLflow server (http://HOST:PORT) or a file (sqlite:///FILE)"
            ) from error
        finally:
            self._opening = False
        self._opened.set()
        self._outbox.start()
        return self._parent

    def student(self, number: int, params: Mapping[str, Any], run_name: str) -> str | None:
        """Begins the child run of a student, or continues the one it has. Returns its id where that is known yet."""
        self._students[number] = (run_name, _texts(params, _PARAM_LENGTH))
        self._running.add(number)
        self._outbox.put(Record("student", number, {"run_name": run_name, "params": self._students[number][1]}))
        return self.run_id(number)

    def log(self, number: int, metrics: Mapping[str, float], step: int) -> None:
        """Logs a student's metrics. Values that are not finite are dropped, and steps the store has already."""
        self._log(number, metrics, step)

    def log_parent(self, metrics: Mapping[str, float], step: int) -> None:
        """Logs metrics of the whole search."""
        self._log(None, metrics, step)

    def tag_student(self, number: int, tags: Mapping[str, Any]) -> None:
        """Sets tags of a student's run."""
        self._outbox.put(Record("tags", number, _texts(tags, _TAG_LENGTH)))

    def describe(self, markdown: str) -> None:
        """Sets the description that MLflow shows on the parent run's page."""
        self._outbox.put(Record("tags", None, {"mlflow.note.content": _whole_lines(markdown, _TAG_LENGTH)}))

    def artifact(self, path: Path) -> None:
        """Copies a file to the parent run, as it is when its turn comes; not again while it is unchanged."""
        self._outbox.put(Record("artifact", None, {"path": str(Path(path).absolute())}))

    def end_student(self, number: int, state: State) -> None:
        """Sets the final state of a student's run."""
        self._running.discard(number)
        self._outbox.put(Record("state", number, {"state": state}))

    def flush(self, seconds: float) -> bool:
        """Waits until all is written, `seconds` at most. Returns whether it is."""
        return self._opened.is_set() and self._outbox.flush(seconds)

    def close(self, state: State, seconds: float = 15.0) -> None:
        """Sets the parent's final state and waits until all is written, `seconds` at most; the rest counts as lost.

        Students without a final state become KILLED. Without an open store there is nothing to do.
        """
        if self._opened.wait(seconds if self._opening else 0.0):
            for number in sorted(self._running):
                self.end_student(number, "KILLED")
            self._outbox.put(Record("state", None, {"state": state}))
        self._outbox.close(seconds)

    def run_id(self, number: int) -> str | None:
        """The id of a student's run; None until the store has made it (`flush` waits for that)."""
        return self._runs.get(number)

    @property
    def lost(self) -> int:
        """How many records could not be written so far."""
        return self._outbox.lost_records

    def page(self) -> str:
        """The address of the search on its MLflow server, or the command that opens MLflow on the store."""
        if self._uri.startswith(("http://", "https://")):
            page = f"/#/experiments/{self._experiment_id}/runs/{self._parent}" if self._parent else ""
            return _without_password(self._uri).rstrip("/") + page
        # Without its job runner and with one worker, MLflow is two processes rather than ten, and up in half the time.
        command = "MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false mlflow ui --workers 1 --backend-store-uri "
        return command + shlex.quote(_without_password(self._uri))

    # Called by open

    def _open(self, name: str, params: Mapping[str, Any], tags: Mapping[str, Any]) -> None:
        prepare_store(self._uri)
        from mlflow import MlflowClient

        self._client = MlflowClient(self._uri)
        self._experiment_id = self._open_experiment()
        self._search_id = _search_id(self._folder)
        runs = self._runs_where(f"tags.search_id = '{self._search_id}'")
        parents = [run for run in runs if run.data.tags.get("role") == "search"]
        own_tags = {"search_id": self._search_id, "search": name, "role": "search"}
        all_tags = _texts({**tags, **own_tags}, _TAG_LENGTH)
        if parents:
            parent = min(parents, key=lambda run: int(run.info.start_time))
            self._client.update_run(parent.info.run_id, status="RUNNING")
            self._set_tags(parent.info.run_id, all_tags)
        else:
            parent = self._client.create_run(self._experiment_id, run_name=name, tags=all_tags)
        self._parent = parent.info.run_id
        self._set_missing_params(parent, _texts(params, _PARAM_LENGTH))
        for run in runs:
            if run.data.tags.get("mlflow.parentRunId") != self._parent:
                continue
            self._runs[int(run.data.tags["trial"])] = run.info.run_id
            if run.info.status in ("RUNNING", "SCHEDULED"):
                self._client.set_terminated(run.info.run_id, "KILLED")

    def _open_experiment(self) -> str:
        experiment = self._client.get_experiment_by_name(self._experiment)
        if experiment is None:
            location = artifact_folder(self._uri, self._folder)
            return str(self._client.create_experiment(self._experiment, artifact_location=location))
        if experiment.lifecycle_stage != "active":
            raise InputError(
                f"the experiment {self._experiment!r} in {_without_password(self._uri)} was deleted; bring it back by "
                f"`mlflow experiments restore --experiment-id {experiment.experiment_id}` or give another --tracking-uri"
            )
        return str(experiment.experiment_id)

    def _runs_where(self, condition: str) -> list[Run]:
        runs: list[Run] = []
        token = None
        while True:
            page = self._client.search_runs([self._experiment_id], condition, max_results=1000, page_token=token)
            runs += page
            token = page.token
            if not token:
                return runs

    # Called by the outbox's thread

    def _write(self, record: Record) -> None:
        from mlflow.exceptions import MlflowException

        with quiet():
            try:
                self._dispatch(record)
            except MlflowException as error:
                if error.error_code in _REFUSALS:
                    raise RefusedError(_first_line(error)) from error
                raise

    def _dispatch(self, record: Record) -> None:
        if record.kind == "student":
            assert record.student is not None
            self._begin(record.student, record.time_ms)
            return
        run_id = self._parent if record.student is None else self._run_of(record.student, record.time_ms)
        if record.kind == "metrics":
            self._send_metrics(run_id, record)
        elif record.kind == "tags":
            self._set_tags(run_id, record.content)
        elif record.kind == "state":
            self._client.set_terminated(run_id, record.content["state"], record.time_ms)
        elif record.kind == "artifact":
            self._upload(run_id, record.content["path"])
        else:
            raise RefusedError(f"no record is of kind {record.kind!r}")

    def _answers(self) -> bool:
        try:
            with quiet():  # a write, since a full disk or a read-only database still answers reads
                self._client.set_tag(self._parent, "role", "search")
        except Exception:
            return False
        return True

    def _begin(self, number: int, time_ms: int) -> str:
        """Makes or continues a student's run. Looks before it makes: a call that seemed to fail may have made it."""
        run_name, params = self._students[number]
        run = self._find(number)
        if run is None:
            tags = {"mlflow.parentRunId": self._parent, "search_id": self._search_id, "trial": str(number)}
            tags |= {"role": "student"} | {name: params[name] for name in _TAGGED if name in params}
            run = self._client.create_run(self._experiment_id, start_time=time_ms, tags=tags, run_name=run_name)
        elif run.info.status != "RUNNING":
            self._client.update_run(run.info.run_id, status="RUNNING")
        self._set_missing_params(run, params)
        self._runs[number] = run.info.run_id
        return self._runs[number]

    def _find(self, number: int) -> Run | None:
        if number in self._runs:
            return self._client.get_run(self._runs[number])
        same = self._runs_where(f"tags.search_id = '{self._search_id}' and tags.trial = '{number}'")
        return next((run for run in same if run.data.tags.get("mlflow.parentRunId") == self._parent), None)

    def _run_of(self, number: int, time_ms: int) -> str:
        if number in self._runs:
            return self._runs[number]
        if number in self._students:  # its first record was lost: the later ones need not be
            return self._begin(number, time_ms)
        raise RefusedError(f"student {number} was never begun")

    def _send_metrics(self, run_id: str, record: Record) -> None:
        from mlflow.entities import Metric

        for name in record.content:
            if (run_id, name) not in self._steps:
                history = self._client.get_metric_history(run_id, name)
                self._steps[run_id, name] = {metric.step for metric in history}
        new = {name: value for name, value in record.content.items() if record.step not in self._steps[run_id, name]}
        # The time is the record's: sent a second time, a point is the same point and the store keeps one.
        points = [Metric(name, value, record.time_ms, record.step) for name, value in new.items()]
        if points:
            self._client.log_batch(run_id, metrics=points)
        for name in new:
            self._steps[run_id, name].add(record.step)

    def _upload(self, run_id: str, path: str) -> None:
        try:
            state = os.stat(path)
        except FileNotFoundError:
            raise RefusedError(f"{path} is gone") from None
        version = (state.st_mtime_ns, state.st_size)
        if self._uploaded.get(path) != version:
            self._client.log_artifact(run_id, path)
            self._uploaded[path] = version

    def _set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        from mlflow.entities import RunTag

        items = [RunTag(name, value) for name, value in tags.items()]
        for start in range(0, len(items), _BATCH):
            self._client.log_batch(run_id, tags=items[start : start + _BATCH])

    def _set_missing_params(self, run: Run, params: Mapping[str, str]) -> None:
        """MLflow's parameters are set once for all, so a continued run gets only those it lacks."""
        from mlflow.entities import Param

        items = [Param(name, value) for name, value in params.items() if name not in run.data.params]
        for start in range(0, len(items), _BATCH):
            self._client.log_batch(run.info.run_id, params=items[start : start + _BATCH])

    def _log(self, number: int | None, metrics: Mapping[str, float], step: int) -> None:
        finite = {name: float(value) for name, value in metrics.items() if math.isfinite(value)}
        if finite:
            self._outbox.put(Record("metrics", number, finite, step))


def _search_id(folder: Path) -> str:
    """The key of the search's runs in any store, made once a run folder."""
    path = folder / "tracking.json"
    if not path.exists():
        write_json(path, {"search_id": uuid.uuid4().hex})
    search_id = read_json(path).get("search_id", "")
    if not re.fullmatch("[0-9a-f]{32}", search_id):
        raise InputError(f"{path} holds no search_id; delete the file to begin new MLflow runs")
    return str(search_id)


def _texts(values: Mapping[str, Any], length: int) -> dict[str, str]:
    return {name: str(value)[:length] for name, value in values.items()}


def _whole_lines(text: str, length: int) -> str:
    """The first lines of a text that fit: half a row would break a table."""
    return text if len(text) <= length else text[: length - 2].rpartition("\n")[0] + "\n…"


def _first_line(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return _without_password(text.splitlines()[0][:300])


def _without_password(text: str) -> str:
    return re.sub(r"(://[^:/@\s]*):[^@/\s]*@", r"\1:***@", text)
