from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from model.ftjnf import Size
from model.train_config import TrainConfig
from search.history import read_history, share_left


def test_lines_come_by_epoch_the_later_of_two_and_none_that_is_spoilt(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    lines = [
        '{"epoch": 3, "pesq": 1.3}', '{"epoch": 1}', "[1]", '{"pesq": 2.0}', '{"epoch": 3, "pesq": 1.4}',
        '{"epoch": 4, "pe',
    ]  # fmt: skip
    path.write_bytes("\n".join(lines).encode() + b"\xff")
    assert list(read_history(path).items()) == [(1, {"epoch": 1}), (3, {"epoch": 3, "pesq": 1.4})]


def test_a_student_that_told_nothing_has_no_history(tmp_path: Path) -> None:
    assert read_history(tmp_path / "history.jsonl") == {}


def told(*stages: tuple[str, int, float]) -> dict[int, dict[str, Any]]:
    """A history by stage, epochs in it, and seconds of each."""
    lines = [{"stage": stage, "epoch_seconds": seconds} for stage, epochs, seconds in stages for _ in range(epochs)]
    return {epoch: line | {"epoch": epoch} for epoch, line in enumerate(lines, 1)}


def test_share_that_is_left_counts_the_stages_by_what_their_epochs_took() -> None:
    config = TrainConfig(Size(8, 4), method="linear", schedule="two-stage", epochs=10)
    assert share_left({}, config) == 1.0
    assert share_left(told(("soft", 5, 3.0)), config) == pytest.approx(0.75)
    assert share_left(told(("soft", 10, 3.0), ("hard", 4, 1.0)), config) == pytest.approx(6 / 40)
    assert share_left(told(("soft", 2, 3.0), ("hard", 10, 1.0)), config) == 0.0, "the first one had ended early"


def test_share_that_is_left_of_one_stage_is_that_of_its_epochs() -> None:
    config = TrainConfig(Size(8, 4), method="none", epochs=10)
    assert share_left(told(("hard", 9, 2.0)), config) == pytest.approx(0.1)
    assert share_left({1: {"epoch": 1}}, config) == 1.0
