from __future__ import annotations

from pathlib import Path

from search.history import read_history


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
