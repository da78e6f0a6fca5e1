"""The students of the scale benchmark train nothing, but leave what a student leaves."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks.scale import EPOCHS, no_training
from model.ftjnf import Size
from model.train_config import TrainConfig
from search.history import read_history
from search.space import Choice


def test_their_histories_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[dict[str, Any]] = []
    monkeypatch.setattr("ray.tune.report", told.append)
    choice = Choice.of(Size(8, 4), "none", "none", "slice")
    job: Any = SimpleNamespace(folder=lambda number: tmp_path, train=TrainConfig(choice.size, epochs=EPOCHS))
    no_training({"number": 0, "choice": asdict(choice)}, job)
    history = read_history(tmp_path / "history.jsonl")
    assert list(history) == list(range(1, EPOCHS + 1))
    assert [line["pesq"] for line in history.values()] == [line["pesq"] for line in told[:-1]]
