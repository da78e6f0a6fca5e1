"""Where a session's time goes, on spans that can be reckoned by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.errors import InputError
from data.files import write_json
from search import timing
from search.timing import Timing, summary, waits, write_span


def span(began: float, ended: float, training: float = 0.0, scoring: float = 0.0) -> dict[str, float]:
    return {"began": began, "ended": ended, "training": training, "scoring": scoring}


def test_waits_are_those_between_students_of_a_slot() -> None:
    spans = [span(0, 10), span(0, 20), span(12, 30), span(21, 40)]  # 10 -> 12 and 20 -> 21
    assert waits(spans, 2) == pytest.approx(3)
    assert waits(spans[:2], 2) == 0


def test_summary_has_the_shares_of_this_session_alone(tmp_path: Path) -> None:
    phases = {"start of the command": 10.0, "students": 80.0, "final scores": 10.0}
    write_json(tmp_path / "timing.json", {"started": 1000.0, "slots": 2, "phases": phases})
    for number, one in enumerate([span(500, 600, 90), span(1010, 1060, 40, 10), span(1010, 1090, 60, 20)]):
        write_json(tmp_path / "students" / f"{number:04d}" / "timing.json", one)
    found = summary(tmp_path)
    assert (found["wall"], found["students"], found["slots"]) == (100.0, 2, 2)
    assert found["training"] == pytest.approx(100 / 200)
    assert found["scoring"] == pytest.approx(30 / 200)
    assert found["training_of_phase"] == pytest.approx(100 / 160)
    assert found["between"] == 0


def test_phases_follow_one_another_without_gaps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(timing.time, "time", lambda: now[0])
    one = Timing(90.0)
    for phase, seconds in (("data", 7.0), ("students", 0.4)):
        one.begins(phase)
        now[0] += seconds
    one.begins("final scores")
    now[0] += 70
    assert one.phases() == pytest.approx(
        {"start of the command": 10.0, "data": 7.0, "students": 0.4, "final scores": 70.0}
    )
    assert one.told() == "start of the command 10 s, data 7 s, final scores 1 min 10 s"
    one.write(tmp_path, 2)
    write_span(tmp_path / "students" / "0000", 107.0, 0.3, 0.1)
    assert summary(tmp_path)["training_of_phase"] == pytest.approx(0.3 / 0.8)


def test_folder_without_timing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"timing\.json does not exist"):
        summary(tmp_path)
