"""A queue between the search and a store that may be slow or away: keeps order, never blocks, loses nothing unsaid."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from data.passwords import without_password

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Record:
    """One thing to write: plain data, so that what cannot be sent can still be kept as a line of JSON.

    Attributes:
        kind: what to do with it; the sender knows the kinds.
        student: number of the student it belongs to, None for the search itself.
        content: JSON-serialisable values.
        step: the metrics' step.
        time_ms: when it happened (Unix time in milliseconds), not when it was sent.
    """

    kind: str
    student: int | None
    content: dict[str, Any] = field(default_factory=dict)
    step: int = 0
    time_ms: int = field(default_factory=lambda: int(time.time() * 1000))


class RefusedError(Exception):
    """The store answered and will never take this record: trying again is of no use."""


class Outbox:
    """Sends records from one background thread, in the order they were put, with back-off while the store is away.

    A record is given up, written to the `lost` file and passed over: when the store refuses it; when it failed
    `attempts` times although the store takes other writes; when the queue is full, the oldest first, because the newest
    carry the final states; and when the outbox is closed before it was sent.

    Args:
        send: writes one record. Raises `RefusedError` for good, anything else to be called again. It must bear being
            called again with a record that had arrived although the call failed.
        answers: whether the store takes a write at this moment; asked to tell a bad record from an outage.
            Never raises.
        lost: the file that takes the lost records, one JSON object a line.
        capacity: records held in memory at most.
        attempts: calls of `send` for one record before `answers` is asked.
        pauses: the first and the longest pause between two calls, in seconds.
    """

    def __init__(
        self,
        send: Callable[[Record], None],
        answers: Callable[[], bool],
        lost: Path,
        *,
        capacity: int = 10_000,
        attempts: int = 8,
        pauses: tuple[float, float] = (0.5, 30.0),
    ) -> None:
        self.lost_records = 0
        self._send = send
        self._answers = answers
        self._lost = lost
        self._capacity = capacity
        self._attempts = attempts
        self._first_pause, self._longest_pause = pauses
        self._waiting: deque[Record] = deque()
        self._sending: Record | None = None
        self._closed = False
        self._flushing = 0  # callers in flush(): while there are any, pauses are short
        self._changed = threading.Condition()
        self._try_now = threading.Event()
        self._lost_lock = threading.Lock()
        # A daemon: neither an outage nor a hanging call may keep the program from ending.
        self._thread = threading.Thread(target=self._run, name="tracking", daemon=True)

    def start(self) -> None:
        """Begins to send. What was put before waits until here."""
        self._thread.start()

    def put(self, record: Record) -> None:
        """Queues a record and returns at once."""
        dropped = None
        with self._changed:
            if self._closed:
                dropped = record
            else:
                if len(self._waiting) >= self._capacity:
                    dropped = self._waiting.popleft()
                self._waiting.append(record)
                self._changed.notify_all()
        if dropped is not None:
            self._lose([dropped], "the tracking was closed" if dropped is record else "too many records are waiting")

    def flush(self, seconds: float) -> bool:
        """Waits until everything is sent or given up, `seconds` at most. Returns whether it is."""
        with self._changed:
            self._flushing += 1
            self._try_now.set()
            try:
                return self._changed.wait_for(lambda: not self._waiting and self._sending is None, seconds)
            finally:
                self._flushing -= 1

    def close(self, seconds: float) -> None:
        """Flushes for `seconds` at most, then gives up what is left. A second call does nothing."""
        if self._thread.ident is not None:  # never started: nothing could be sent
            self.flush(seconds)
        with self._changed:
            left = ([self._sending] if self._sending else []) + list(self._waiting)
            self._waiting.clear()
            self._sending = None
            self._closed = True
            self._changed.notify_all()
        self._try_now.set()
        if left:
            self._lose(left, "the store did not answer before the end")
        elif self._thread.ident is not None:
            self._thread.join(1.0)

    def _run(self) -> None:
        while (record := self._next()) is not None:
            self._deliver(record)

    def _next(self) -> Record | None:
        with self._changed:
            self._sending = None
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._waiting or self._closed)
            if self._closed:
                return None
            self._sending = self._waiting.popleft()
            return self._sending

    def _deliver(self, record: Record) -> None:
        pause = self._first_pause
        attempt = 0
        while not self._closed:
            attempt += 1
            try:
                self._send(record)
                return
            except RefusedError as error:
                self._give_up(record, str(error))
                return
            except Exception as error:  # whatever a client library raises: a training must not end on it
                logger.debug("tracking: attempt %d failed", attempt, exc_info=True)
                if attempt >= self._attempts and self._answers():
                    self._give_up(record, f"{type(error).__name__}: {error}")
                    return
            self._try_now.wait(self._first_pause if self._flushing else pause)
            self._try_now.clear()
            pause = min(2 * pause, self._longest_pause)

    def _give_up(self, record: Record, reason: str) -> None:
        with self._changed:
            if self._closed:  # close() has written it down already
                return
        self._lose([record], reason)

    def _lose(self, records: Sequence[Record], reason: str) -> None:
        reason = without_password(reason)  # MLflow's complaints hold the whole address
        lines = [json.dumps(asdict(record) | {"reason": reason}, default=str) + "\n" for record in records]
        with self._lost_lock:
            first = self.lost_records == 0
            self.lost_records += len(records)
            try:
                self._lost.parent.mkdir(parents=True, exist_ok=True)
                with open(self._lost, "a", encoding="utf-8") as file:  # appended: a log grows, it is never replaced
                    file.writelines(lines)
                where = f"this and what may follow is kept in {self._lost}"
            except OSError as error:
                where = f"{self._lost} cannot be written either ({error.strerror})"
        if first:
            logger.warning("tracking: a record could not be written (%s); %s; the search goes on", reason, where)
