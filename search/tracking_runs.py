"""The MLflow runs of one search: found, made and written here, one call at a time; `tracking.py` queues the calls.

The runs are known by the tag `search_id`, a key that lives in the run folder beside the students. So a resumed search
continues its own runs, wherever its folder was moved, and a new search that takes an old one's name does not.
"""

from __future__ import annotations

import contextlib
import json
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from data.errors import InputError
from data.files import read_json, write_json
from data.passwords import masked, without_password
from search.outbox import Record, RefusedError
from search.tracking_metrics import Metrics
from search.tracking_store import artifact_folder, prepare_store, quiet

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

Item = TypeVar("Item")

# Parameters also set as tags: MLflow's run list filters and groups by them.
_TAGGED = ("size", "kd_method", "alpha_schedule", "init")
_BATCH = 100  # parameters or tags in one request, by MLflow's limit

# Answers that stay the same however often one asks. Others (a lost connection, a locked file, a proxy's 502) may pass.
_REFUSALS = frozenset(
    {"BAD_REQUEST", "INVALID_PARAMETER_VALUE", "INVALID_STATE", "PERMISSION_DENIED"}
    | {"RESOURCE_ALREADY_EXISTS", "RESOURCE_DOES_NOT_EXIST"}
)


class SearchRuns:
    """One parent run and its children, written synchronously. For one thread at a time.

    Args:
        uri: an absolute address, see `tracking_store`.
        experiment: the MLflow experiment, made if absent.
        folder: the run folder.

    Attributes:
        experiment_id: known after `open`.
        parent: the parent's run id, known after `open`.
        children: number of a student -> its run id, as far as made.
        planned: number of a student -> run name and parameters of the run it is to have.
    """

    def __init__(self, uri: str, experiment: str, folder: Path) -> None:
        self.experiment_id = ""
        self.parent = ""
        self.children: dict[int, str] = {}
        self.planned: dict[int, tuple[str, dict[str, str]]] = {}
        self._uri = uri
        self._experiment = experiment
        self._folder = folder
        self._search_id = ""
        self._name = ""
        self._client: MlflowClient
        self._metrics: Metrics
        self._uploaded: dict[str, tuple[int, int]] = {}  # path -> time and size of what was uploaded last

    def open(self, name: str, params: Mapping[str, str], tags: Mapping[str, str]) -> None:
        """Connects, makes what is missing, begins or continues the parent, and ends children nobody works on as KILLED.

        Raises:
            InputError: the experiment was deleted, or the run folder's key is unreadable.
            Exception: whatever MLflow, a database's driver or the file system raises.
        """
        prepare_store(self._uri)
        from mlflow import MlflowClient

        self._client = MlflowClient(self._uri)
        self._metrics = Metrics(self._client)
        self.experiment_id = self._open_experiment()
        self._search_id = _search_id(self._folder)
        self._name = name
        runs = self._runs_where(f"tags.search_id = '{self._search_id}'")
        parents = [run for run in runs if run.data.tags.get("role") == "search"]
        tags = {**tags, "search_id": self._search_id, "search": name, "role": "search"}
        if parents:
            parent = min(parents, key=lambda run: int(run.info.start_time))
            self._client.update_run(parent.info.run_id, status="RUNNING")
            self._set_tags(parent.info.run_id, tags)
        else:
            parent = self._client.create_run(self.experiment_id, run_name=name, tags=tags)
        self.parent = parent.info.run_id
        self._set_missing_params(parent, params)
        for run in runs:
            if run.data.tags.get("mlflow.parentRunId") != self.parent:
                continue
            self.children[int(run.data.tags["trial"])] = run.info.run_id
            if run.info.status in ("RUNNING", "SCHEDULED"):
                self._client.set_terminated(run.info.run_id, "KILLED")

    def note(self, page: str) -> None:
        """Notes in the run folder's `tracking.json` which runs are the search's, and where a person sees them.

        Args:
            page: address of the parent's page, or the command that opens MLflow; without a password.
        """
        content = {"search_id": self._search_id, "experiment_id": self.experiment_id, "parent_run_id": self.parent}
        with contextlib.suppress(OSError):  # it is there for people: a search does without
            write_json(self._folder / "tracking.json", content | {"page": page})

    def write(self, record: Record) -> None:
        """Writes one record. Writing a record twice changes nothing the second time.

        Raises:
            RefusedError: the store will never take it.
            Exception: it may, later.
        """
        from mlflow.exceptions import MlflowException

        with quiet():
            try:
                self._dispatch(record)
            except MlflowException as error:
                if error.error_code in _REFUSALS:
                    raise RefusedError(first_line(error)) from error
                raise

    def answers(self) -> bool:
        """Whether the store takes a write now; a read would still succeed on a full disk or a read-only database."""
        try:
            with quiet():
                self._client.set_tag(self.parent, "role", "search")
        except Exception:
            return False
        return True

    def _dispatch(self, record: Record) -> None:
        if record.kind == "student":
            assert record.student is not None
            self._begin(record.student, record.time_ms)
            return
        run_id = self.parent if record.student is None else self._child(record.student, record.time_ms)
        if record.kind == "metrics":
            self._metrics.log(run_id, record)
        elif record.kind == "figures":
            self._metrics.figures(run_id, record)
        elif record.kind == "tags":
            self._set_tags(run_id, record.content)
        elif record.kind == "state":
            self._client.set_terminated(run_id, record.content["state"], record.time_ms)
            self._forget(record.student, run_id)
        elif record.kind == "artifact":
            self._upload(run_id, record.content["path"])
        else:
            raise RefusedError(f"no record is of kind {record.kind!r}")

    def _begin(self, number: int, time_ms: int) -> str:
        """Makes or continues a student's run. Looks before it makes: a call that seemed to fail may have made it."""
        run_name, params = self.planned[number]
        run = self._find(number)
        if run is None:
            tags = {"mlflow.parentRunId": self.parent, "search_id": self._search_id, "trial": str(number)}
            tags |= {"role": "student", "search_name": self._name} | {
                name: params[name] for name in _TAGGED if name in params
            }
            run = self._client.create_run(self.experiment_id, start_time=time_ms, tags=tags, run_name=run_name)
        elif run.info.status != "RUNNING":
            self._client.update_run(run.info.run_id, status="RUNNING")
        self._set_missing_params(run, params)
        self.children[number] = run.info.run_id
        return self.children[number]

    def _find(self, number: int) -> Run | None:
        if number in self.children:
            return self._client.get_run(self.children[number])
        same = self._runs_where(f"tags.search_id = '{self._search_id}' and tags.trial = '{number}'")
        return next((run for run in same if run.data.tags.get("mlflow.parentRunId") == self.parent), None)

    def _child(self, number: int, time_ms: int) -> str:
        if number in self.children:
            return self.children[number]
        if number in self.planned:  # its first record was lost: the later ones need not be
            return self._begin(number, time_ms)
        raise RefusedError(f"student {number} was never begun")

    def _forget(self, number: int | None, run_id: str) -> None:
        """A run that has ended is asked again should anything more be logged to it: there may be a thousand of them."""
        self._metrics.forget(run_id)
        if number is not None and number in self.children:
            self.planned.pop(number, None)

    def _upload(self, run_id: str, path: str) -> None:
        try:
            state = Path(path).stat()
        except FileNotFoundError:
            raise RefusedError(f"{path} is gone") from None
        version = (state.st_mtime_ns, state.st_size)
        if self._uploaded.get(path) != version:
            content = read_json(Path(path)) if path.endswith(".json") else None
            if content is not None and masked(content) != content:
                text = json.dumps(masked(content), indent=2, ensure_ascii=False) + "\n"
                self._client.log_text(run_id, text, Path(path).name)
            else:
                self._client.log_artifact(run_id, path)
            self._uploaded[path] = version

    def _set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        from mlflow.entities import RunTag

        for batch in _batches([RunTag(name, value) for name, value in tags.items()]):
            self._client.log_batch(run_id, tags=batch)

    def _set_missing_params(self, run: Run, params: Mapping[str, str]) -> None:
        """MLflow's parameters are set once for all, so a continued run gets only those it lacks."""
        from mlflow.entities import Param

        missing = [Param(name, value) for name, value in params.items() if name not in run.data.params]
        for batch in _batches(missing):
            self._client.log_batch(run.info.run_id, params=batch)

    def _open_experiment(self) -> str:
        from mlflow.exceptions import MlflowException

        experiment = self._client.get_experiment_by_name(self._experiment)
        if experiment is None:
            location = artifact_folder(self._uri, self._folder)
            try:
                return str(self._client.create_experiment(self._experiment, artifact_location=location))
            except MlflowException:  # another search may have made it since we looked
                experiment = self._client.get_experiment_by_name(self._experiment)
                if experiment is None:
                    raise
        if experiment.lifecycle_stage != "active":
            raise InputError(
                f"the experiment {self._experiment!r} in {without_password(self._uri)} was deleted; bring it back "
                f"by `mlflow experiments restore --experiment-id {experiment.experiment_id}` or give another store"
            )
        return str(experiment.experiment_id)

    def _runs_where(self, condition: str) -> list[Run]:
        runs: list[Run] = []
        token = None
        while True:
            page = self._client.search_runs([self.experiment_id], condition, max_results=1000, page_token=token)
            runs += page
            token = page.token
            if not token:
                return runs


def first_line(error: BaseException) -> str:
    """The first line of an error's message, short and without passwords."""
    text = str(error).strip() or type(error).__name__
    return without_password(text.splitlines()[0])[:200]


def _batches(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    return (items[start : start + _BATCH] for start in range(0, len(items), _BATCH))


def _search_id(folder: Path) -> str:
    """The key of the search's runs in any store, made once a run folder."""
    path = folder / "tracking.json"
    if not path.exists():
        write_json(path, {"search_id": uuid.uuid4().hex})
    content = read_json(path)
    search_id = content.get("search_id") if isinstance(content, dict) else None
    if not isinstance(search_id, str) or not re.fullmatch("[0-9a-f]{32}", search_id):
        raise InputError(f"{path} holds no search_id; delete the file to begin new MLflow runs")
    return search_id
