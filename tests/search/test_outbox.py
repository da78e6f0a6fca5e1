from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from search.outbox import Outbox, Record, RefusedError

LONG = 20.0  # seconds; a limit that is only reached by a failing test


class Store:
    """Takes records, unless it is down (raises), refuses a step, or is blocked."""

    def __init__(self) -> None:
        self.steps: list[int] = []
        self.down = False
        self.refused: set[int] = set()
        self.broken: set[int] = set()
        self.failures = 0
        self.failed = threading.Event()
        self.entered = threading.Event()
        self.open = threading.Event()
        self.open.set()

    def send(self, record: Record) -> None:
        self.entered.set()
        assert self.open.wait(LONG)
        if record.step in self.refused:
            raise RefusedError("no such thing")
        if self.down or record.step in self.broken:
            self.failures += 1
            self.failed.set()
            raise ConnectionError("nobody there")
        self.steps.append(record.step)

    def answers(self) -> bool:
        return not self.down


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def make(store: Store, tmp_path: Path) -> Callable[..., Outbox]:
    def make(**options: Any) -> Outbox:
        options = {"pauses": (0.001, 0.01)} | options
        return Outbox(store.send, store.answers, tmp_path / "run" / "lost.jsonl", **options)

    return make


def record(step: int) -> Record:
    return Record("metrics", 3, {"loss_val": 0.5}, step)


def lost_steps(tmp_path: Path) -> list[int]:
    path = tmp_path / "run" / "lost.jsonl"
    return [json.loads(line)["step"] for line in path.read_text().splitlines()] if path.exists() else []


def test_records_arrive_in_order_also_those_put_before_the_start(make: Callable[..., Outbox], store: Store) -> None:
    outbox = make()
    outbox.put(record(0))
    outbox.start()
    for step in range(1, 50):
        outbox.put(record(step))
    assert outbox.flush(LONG)
    assert store.steps == list(range(50))


def test_put_returns_while_the_store_hangs(make: Callable[..., Outbox], store: Store) -> None:
    outbox = make()
    outbox.start()
    store.open.clear()
    outbox.put(record(0))
    assert store.entered.wait(LONG)
    outbox.put(record(1))  # comes back although the store is held inside the first call
    assert store.steps == []
    assert not outbox.flush(0.01)
    store.open.set()
    assert outbox.flush(LONG)
    assert store.steps == [0, 1]


def test_an_outage_longer_than_the_attempts_loses_nothing(
    make: Callable[..., Outbox], store: Store, tmp_path: Path
) -> None:
    outbox = make(attempts=2)
    store.down = True
    outbox.start()
    for step in range(3):
        outbox.put(record(step))
    while store.failures < 5:
        store.failed.clear()
        assert store.failed.wait(LONG)
    store.down = False
    assert outbox.flush(LONG)
    assert store.steps == [0, 1, 2]
    assert outbox.lost_records == 0
    assert lost_steps(tmp_path) == []


def test_a_refused_and_a_poisonous_record_are_passed_over_and_kept(
    make: Callable[..., Outbox], store: Store, tmp_path: Path
) -> None:
    outbox = make(attempts=2)
    store.refused, store.broken = {1}, {2}
    outbox.start()
    for step in range(4):
        outbox.put(record(step))
    assert outbox.flush(LONG)
    assert store.steps == [0, 3]
    assert lost_steps(tmp_path) == [1, 2]


def test_a_full_queue_gives_up_its_oldest_records(make: Callable[..., Outbox], store: Store, tmp_path: Path) -> None:
    outbox = make(capacity=2)
    for step in range(5):
        outbox.put(record(step))
    outbox.start()
    assert outbox.flush(LONG)
    assert store.steps == [3, 4]
    assert lost_steps(tmp_path) == [0, 1, 2]


def test_close_gives_up_what_a_dead_store_did_not_take_and_warns_once(
    make: Callable[..., Outbox], store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    outbox = make()
    store.down = True
    outbox.start()
    for step in range(3):
        outbox.put(record(step))
    with caplog.at_level(logging.WARNING):
        outbox.close(0.05)
        outbox.put(record(3))
        outbox.close(0.05)
    assert lost_steps(tmp_path) == [0, 1, 2, 3]
    assert outbox.lost_records == 4
    assert len(caplog.records) == 1
    assert "lost.jsonl" in caplog.text


def test_reason_of_a_loss_holds_no_password(make: Callable[..., Outbox], tmp_path: Path) -> None:
    make()._lose([Record("tags", 0)], "ConnectionError: http://me:secret@server/api does not answer")
    text = (tmp_path / "run" / "lost.jsonl").read_text()
    assert "http://me:***@server/api does not answer" in text
    assert "secret" not in text


def test_close_while_the_store_hangs_comes_back(make: Callable[..., Outbox], store: Store, tmp_path: Path) -> None:
    outbox = make()
    outbox.start()
    store.open.clear()
    outbox.put(record(0))
    assert store.entered.wait(LONG)
    outbox.close(0.01)
    assert lost_steps(tmp_path) == [0]
    store.open.set()


def test_a_lost_file_that_cannot_be_written_raises_nothing(
    make: Callable[..., Outbox], store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "run").write_text("a file where the folder should be")
    outbox = make()
    store.refused = {0}
    outbox.start()
    outbox.put(record(0))
    outbox.put(record(1))
    assert outbox.flush(LONG)
    assert store.steps == [1]
    assert "cannot be written either" in caplog.text
