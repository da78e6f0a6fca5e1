"""The place MLflow writes to: its address, a fresh SQLite store made whole or not at all, and no chatter from it."""

from __future__ import annotations

import logging
import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data.errors import InputError

USABLE = "a running MLflow server (http://HOST:PORT) or a file (sqlite:///FILE)"

_SQLITE = "sqlite:///"
_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")

# What MLflow and its libraries log while they make a store or fail at a write that is tried again here.
_CHATTY = (
    "alembic.runtime.migration",
    "alembic.runtime.plugins",
    "mlflow.exceptions",
    "mlflow.store.db.utils",
    "mlflow.store.tracking.sqlalchemy_store",
    "mlflow.utils.rest_utils",
    "urllib3.connectionpool",
)
_silenced = threading.local()


class _Silence(logging.Filter):
    """Drops what a thread logs while it is in `quiet`; other threads, and the user's own settings, are untouched."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not getattr(_silenced, "now", False)


_silence = _Silence()


@contextmanager
def quiet() -> Iterator[None]:
    """Keeps MLflow's and its libraries' chatter of this thread off the terminal."""
    for name in _CHATTY:
        logging.getLogger(name).addFilter(_silence)  # added once, however often it is called
    before = getattr(_silenced, "now", False)
    _silenced.now = True
    try:
        yield
    finally:
        _silenced.now = before


VIEW = "?workflowType=machine_learning"
"""Without it MLflow opens in the mode that it was in last, on a new machine that for language models."""

OWN_SERVER = "http://127.0.0.1:5000"
"""Where `mlflow ui` shows a store, unless it is told another port."""


def run_address(server: str, experiment: str, run: str) -> str:
    """The address of a run's page on an MLflow server."""
    return f"{server.rstrip('/')}/#/experiments/{experiment}/runs/{run}{VIEW}"


def default_uri(storage: Path) -> str:
    """The SQLite store of a storage folder: `sqlite:///<folder>/mlflow.db`."""
    return f"{_SQLITE}{Path(storage).absolute() / 'mlflow.db'}"


def absolute_uri(uri: str) -> str:
    """The address with a SQLite file's path made absolute, so that it holds in any working directory."""
    path = _sqlite_file(uri)
    return uri if path is None else f"{_SQLITE}{path}"


def artifact_folder(uri: str, run_folder: Path) -> str | None:
    """Where files go that are logged to a store: beside a SQLite file, beside the run folders for any other database.

    Returns:
        An absolute `file:` URI; None for a server, which has a place of its own.
    """
    if not _is_database(uri):
        return None
    beside = (_sqlite_file(uri) or Path(run_folder).absolute()).parent
    return (beside / "mlflow-artifacts").as_uri()


def prepare_store(uri: str) -> None:
    """Checks the address, makes a SQLite store that is absent, and connects to a database once; asks no server.

    MLflow itself retries for minutes where a database cannot be opened, hence the check before it is asked.

    Raises:
        InputError: MLflow takes no such address.
        Exception: whatever the database's driver raises.
    """
    if "://" not in uri or uri.startswith("file:"):  # MLflow would take "" for a file in the working directory
        raise InputError(f"{uri!r} is no address of a tracking store; give --tracking-uri {USABLE}")
    if not _is_database(uri):
        return
    path = _sqlite_file(uri)
    if path is not None:
        if any(character in str(path) for character in "?%"):
            raise InputError(f"the path of the tracking store {path} has a ? or % in it; give --tracking-uri {USABLE}")
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            _make_sqlite(path, artifact_folder(uri, path))
    from mlflow.store.db.utils import create_sqlalchemy_engine

    engine = create_sqlalchemy_engine(uri)
    try:
        engine.connect().close()
    finally:
        engine.dispose()


def _make_sqlite(path: Path, artifacts: str | None) -> None:
    """Makes the tables under another name first: a store whose making was cut short, or done by two, stays broken."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        fresh = Path(folder) / path.name
        SqlAlchemyStore(f"{_SQLITE}{fresh}", artifacts).engine.dispose()
        try:
            os.link(fresh, path)  # unlike a renaming, never replaces the store another process has made meanwhile
        except FileExistsError:
            pass
        except OSError:  # a file system without hard links
            fresh.replace(path)


def _is_database(uri: str) -> bool:
    return uri.partition(":")[0].partition("+")[0] in _DATABASES


def _sqlite_file(uri: str) -> Path | None:
    return Path(uri.removeprefix(_SQLITE)).absolute() if uri.startswith(_SQLITE) else None
