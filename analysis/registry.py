"""An ended search in MLflow: the chosen student's folder on its run and in the model registry with the alias
`deployable`, and the page of a review that was made anew.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.errors import InputError
from data.files import file_digest, read_json, text_digest
from data.passwords import without_password
from model.lineage import lineage

if TYPE_CHECKING:
    from mlflow import MlflowClient

ALIAS = "deployable"
"""Alias of the version that was chosen last, and tag of its run."""

# no telemetry, and a server that is away is known in seconds; set unless the user has
_ENVIRONMENT = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
                "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}  # fmt: skip


def model_name(search: str) -> str:
    """The registered model of a search: `ftjnf-` and the search's name."""
    return f"ftjnf-{search}"


def register(
    folder: Path, settings: Mapping[str, Any], student: Mapping[str, Any], exported: Path, why: str
) -> tuple[str, str]:
    """Uploads an exported student to its MLflow run and makes it the search's deployable version.

    Args:
        folder: of the run.
        settings: its `search.json`, which names the tracking store.
        student: the chosen record, with `mlflow_run_id`.
        exported: the student's folder; its lineage becomes tags of the version.
        why: it was chosen.

    Returns:
        Name and version of the registered model.

    Raises:
        InputError: the store cannot be reached, or does not have the student's run.
    """
    run_id = student.get("mlflow_run_id")
    if not run_id:
        raise InputError(f"trial {student['trial']} has no MLflow run; resume the search with its store at hand")
    uri = _store(folder, settings)
    name = model_name(str(settings["name"]))
    try:
        with _quiet():
            from mlflow import MlflowClient

            client = MlflowClient(uri, uri)
            run = client.get_run(run_id)
            place = f"student-{_digest(exported)}"  # an earlier version keeps its own files
            client.log_artifacts(run_id, str(exported), place)
            _ensure(client, name, str(settings["name"]))
            version = client.create_model_version(
                name, f"{run.info.artifact_uri}/{place}", run_id, description=why,
                tags={"trial": str(student["trial"])} | lineage(read_json(exported / "config.json")),
            )  # fmt: skip
            client.set_registered_model_alias(name, ALIAS, version.version)
            _tag(client, run.info.experiment_id, run.data.tags.get("search_id"), run_id)
    except Exception as error:  # MLflow, a database's driver or the file system: to the user it is all one
        raise _refused(uri, error) from error
    return name, str(version.version)


def _digest(exported: Path) -> str:
    """A short hash of a folder's files."""
    return text_digest({path.name: file_digest(path) for path in exported.iterdir()})[:8]


def put_beside_search(folder: Path, path: Path) -> None:
    """Copies a file to the search's own MLflow run, in place of one of that name.

    Args:
        folder: of the run.
        path: of the file.

    Raises:
        InputError: the search has no run, or the store cannot be reached.
    """
    settings, tracked = folder / "search.json", folder / "tracking.json"
    run_id = read_json(tracked).get("parent_run_id") if tracked.is_file() else None
    if not run_id or not settings.is_file():
        raise InputError(f"{folder} does not tell the search's MLflow run; resume the search with its store at hand")
    uri = _store(folder, read_json(settings))
    try:
        with _quiet():
            from mlflow import MlflowClient

            MlflowClient(uri, uri).log_artifact(run_id, str(path))
    except Exception as error:  # as above
        raise _refused(uri, error) from error


def _store(folder: Path, settings: Mapping[str, Any]) -> str:
    """The address of a search's tracking store, and MLflow's environment set.

    Raises:
        InputError: it is a file that is not there.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    uri = str(settings.get("tracking_uri") or f"sqlite:///{folder.resolve().parent / 'mlflow.db'}")
    if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).is_file():
        raise InputError(f"there is no tracking store at {uri}")  # MLflow would make a new one
    return uri


def _refused(uri: str, error: Exception) -> InputError:
    reason = without_password(str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__)
    return InputError(f"the tracking store {without_password(uri)} did not take it ({reason[:200]})")


def _ensure(client: MlflowClient, name: str, search: str) -> None:
    """The registered model, made if it is absent."""
    from mlflow.exceptions import MlflowException

    try:
        client.get_registered_model(name)
    except MlflowException:
        client.create_registered_model(name, description=f"Students of the search {search}, as choose.py wrote them.")


def _tag(client: MlflowClient, experiment: str, search_id: str | None, run_id: str) -> None:
    """Marks the chosen student's run, and no other of the search any more."""
    if search_id:
        marked = client.search_runs([experiment], f"tags.search_id = '{search_id}' and tags.{ALIAS} = 'yes'")
        for other in marked:
            if other.info.run_id != run_id:
                client.set_tag(other.info.run_id, ALIAS, "no")
    client.set_tag(run_id, ALIAS, "yes")


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps MLflow's chatter off the terminal."""
    chatty = [logging.getLogger(name) for name in ("mlflow", "alembic", "urllib3")]
    before = [logger.level for logger in chatty]
    for logger in chatty:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(chatty, before, strict=True):
            logger.setLevel(level)
