"""The search in MLflow: one parent run a search, one child run a student, written by the driver alone.

After `Tracker.open` every write is queued and sent by one background thread (`outbox.py`), so that a slow, absent or
broken store never delays or ends a training. One writer, because concurrent first writers break a fresh SQLite store.
"""

from __future__ import annotations

import math
import os
import shlex
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from data.errors import InputError
from data.passwords import without_password
from search.outbox import Outbox, Record
from search.tracking_runs import SearchRuns, first_line
from search.tracking_store import OWN_SERVER, USABLE, absolute_uri, quiet, run_address

State = Literal["FINISHED", "FAILED", "KILLED"]

_PARAM_LENGTH = 500  # characters; the least that servers in use accept
_TAG_LENGTH = 5000

# Set unless the user has: no telemetry, nothing printed, a dead server known in seconds (MLflow: 8 tries of 120 s).
# The environment belongs to the whole process, hence set once by the constructor and not around each call of a thread.
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


class Tracker:
    """Writes one search to one MLflow store. Its methods may be called from any thread.

    Only `open` raises, and only `open`, `flush` and `close` wait. Students are named by their number in the search.
    What cannot be written ends in `tracking-lost.jsonl` in the run folder, one JSON object a line, and one warning.

    Args:
        uri: the store: `sqlite:///FILE` (made if absent), a database's address, or an MLflow server's URL.
        experiment: the MLflow experiment, made if absent.
        folder: the run folder; `tracking.json` in it tells a resumed search its runs, and others where they are shown.
    """

    def __init__(self, uri: str, experiment: str, folder: Path) -> None:
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        self._uri = absolute_uri(uri)
        self._runs = SearchRuns(self._uri, experiment, Path(folder))
        self._outbox = Outbox(self._runs.write, self._runs.answers, Path(folder) / "tracking-lost.jsonl")
        self._running: set[int] = set()
        self._tags: dict[tuple[int, str], str] = {}  # (student, name) -> what was sent last
        self._opening = False
        self._opened = threading.Event()
        self._closing = threading.Event()

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
                self._runs.open(name, _texts(params, _PARAM_LENGTH), _texts(tags, _TAG_LENGTH))
        except InputError:
            raise
        except Exception as error:  # MLflow, SQLAlchemy, a driver or the file system: to the user it is all one
            raise InputError(
                f"the tracking store {without_password(self._uri)} cannot be used ({_reason(error)}); "
                f"give --tracking-uri {USABLE}"
            ) from error
        else:
            self._runs.note(self.page())
            self._outbox.start()
            self._opened.set()
        finally:
            self._opening = False
        return self._runs.parent

    def open_patiently(
        self,
        name: str,
        params: Mapping[str, Any],
        tags: Mapping[str, Any],
        warn: Callable[[str], None],
        pauses: tuple[float, float] = (1.0, 60.0),
    ) -> None:
        """As `open`, for a search that can begin without its store: tries until it opens, or the tracker is closed.

        Args:
            name, params, tags: as for `open`.
            warn: told of the first failure, and of no other.
            pauses: the first and the longest pause between two tries, in seconds.
        """
        pause, warned = pauses[0], False
        while not self._closing.is_set():
            try:
                self.open(name, params, tags)
                return
            except InputError as error:
                if not warned:
                    warn(str(error))
                warned = True
            self._closing.wait(pause)
            pause = min(2 * pause, pauses[1])

    def student(self, number: int, params: Mapping[str, Any], run_name: str) -> str | None:
        """Begins the child run of a student, or continues the one it has. Returns its id where that is known yet."""
        plan = (run_name, _texts(params, _PARAM_LENGTH))
        self._runs.planned[number] = plan
        self._running.add(number)
        self._outbox.put(Record("student", number, {"run_name": plan[0], "params": plan[1]}))
        return self.run_id(number)

    def log(self, number: int, metrics: Mapping[str, float], step: int) -> None:
        """Logs a student's metrics. Values that are not finite are dropped, and steps the store has already."""
        self._put("metrics", number, metrics, step)

    def figures(self, number: int | None, metrics: Mapping[str, float], step: int) -> None:
        """Sets figures of a student, or of the whole search (None), that replace what was said before.

        MLflow shows a metric's value of the highest step. So a figure that differs from the one shown goes to that
        step again, if `step` is not higher, and is shown as the later one; an equal figure is not sent again.
        """
        self._put("figures", number, metrics, step)

    def tag_student(self, number: int, tags: Mapping[str, Any]) -> None:
        """Sets tags of a student's run; those that were set to the same before are not sent again."""
        texts = _texts(tags, _TAG_LENGTH)
        new = {name: text for name, text in texts.items() if self._tags.get((number, name)) != text}
        if new:
            self._tags |= {(number, name): text for name, text in new.items()}
            self._outbox.put(Record("tags", number, new))

    def tag_parent(self, tags: Mapping[str, Any]) -> None:
        """Sets tags of the search's own run."""
        self._outbox.put(Record("tags", None, _texts(tags, _TAG_LENGTH)))

    def describe(self, markdown: str) -> None:
        """Sets the description that MLflow shows on the parent run's page."""
        text = _whole_lines(without_password(markdown), _TAG_LENGTH)
        self._outbox.put(Record("tags", None, {"mlflow.note.content": text}))

    def artifact(self, path: Path) -> None:
        """Copies a file to the parent run, as it is when its turn comes; not again while it is unchanged.

        Passwords in a JSON file are masked in the copy.
        """
        self._outbox.put(Record("artifact", None, {"path": str(Path(path).absolute())}))

    def end_student(self, number: int, state: State) -> None:
        """Sets the final state of a student's run."""
        self._running.discard(number)
        self._outbox.put(Record("state", number, {"state": state}))

    def flush(self, seconds: float) -> bool:
        """Waits until nothing is waiting to be written, `seconds` at most. Returns whether nothing is."""
        return self._opened.is_set() and self._outbox.flush(seconds)

    def close(self, state: State, seconds: float = 15.0) -> None:
        """Sets the parent's final state and waits until all is written, `seconds` at most; the rest counts as lost.

        Students without a final state become KILLED. Where `open` failed or never began there is nothing to do.
        """
        self._closing.set()
        if self._opened.wait(seconds if self._opening else 0.0):
            for number in sorted(self._running):
                self.end_student(number, "KILLED")
            self._outbox.put(Record("state", None, {"state": state}))
        self._outbox.close(seconds)

    def run_id(self, number: int) -> str | None:
        """The id of a student's run; None until the store has made it (`flush` waits for that)."""
        return self._runs.children.get(number)

    @property
    def lost(self) -> int:
        """How many records could not be written so far."""
        return self._outbox.lost_records

    def page(self) -> str:
        """The address of the search on its MLflow server, or the command that opens MLflow on the store."""
        uri = without_password(self._uri)
        if uri.startswith(("http://", "https://")):
            return (
                run_address(uri, self._runs.experiment_id, self._runs.parent) if self._runs.parent else uri.rstrip("/")
            )
        # Without its job runner and with one worker, MLflow is two processes rather than ten, and up in half the time.
        command = "MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false mlflow ui --workers 1 --backend-store-uri"
        return f"{command} {shlex.quote(uri)}"

    def own_page(self) -> str | None:
        """Where the command of `page` shows the search on this machine; None where a server does."""
        if self.page().startswith(("http://", "https://")) or not self._runs.parent:
            return None
        return run_address(OWN_SERVER, self._runs.experiment_id, self._runs.parent)

    def _put(self, kind: str, number: int | None, metrics: Mapping[str, float], step: int) -> None:
        finite = {name: float(value) for name, value in metrics.items() if _is_finite(value)}
        if finite:
            self._outbox.put(Record(kind, number, finite, step))


def _reason(error: BaseException) -> str:
    """What the user can act on: the system's own words (connection refused) where an outer error wraps them."""
    inner: BaseException | None = error
    while inner is not None:
        if type(inner).__module__ in ("builtins", "socket") and isinstance(inner, OSError):
            return first_line(inner)
        inner = inner.__cause__ or inner.__context__
    return first_line(error)


def _is_finite(value: Any) -> bool:
    try:
        return math.isfinite(value)
    except (TypeError, ValueError):  # None, text: a missing score must not end a training
        return False


def _texts(values: Mapping[str, Any], length: int) -> dict[str, str]:
    """As a store takes them: short, and without passwords, as many people may read there."""
    return {name: without_password(str(value))[:length] for name, value in values.items()}


def _whole_lines(text: str, length: int) -> str:
    """The first lines of a text that fit: half a row would break a table."""
    return text if len(text) <= length else text[: length - 2].rpartition("\n")[0] + "\n…"
