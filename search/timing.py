"""Where a session's time goes: its phases, and what the students did with the slots they were given."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from data.files import read_json, write_json
from data.units import duration

STUDENTS = ("students", "other seeds of the front")
"""Phases in which students are trained."""


class Timing:
    """The phases of a session, one after the other.

    Args:
        started: `time.time()` at the command's start.
    """

    def __init__(self, started: float) -> None:
        self.started = started
        self._marks: list[tuple[str, float]] = [("start of the command", started)]

    def begins(self, phase: str) -> None:
        """Ends the phase at hand and begins another one."""
        self._marks.append((phase, time.time()))

    def phases(self) -> dict[str, float]:
        """Seconds by phase so far."""
        ends = [when for _, when in self._marks[1:]] + [time.time()]
        return {phase: end - begun for (phase, begun), end in zip(self._marks, ends, strict=True)}

    def write(self, folder: Path, slots: int) -> None:
        """Writes `timing.json` into the run folder."""
        write_json(folder / "timing.json", {"started": self.started, "slots": slots, "phases": self.phases()})

    def told(self) -> str:
        """In one line, without what took less than a second."""
        return ", ".join(f"{phase} {duration(seconds)}" for phase, seconds in self.phases().items() if seconds >= 1)


def write_span(folder: Path, began: float, training: float, scoring: float) -> None:
    """Writes `timing.json` into a student's folder: when it ran, and what it did then, in seconds."""
    span = {"began": began, "ended": time.time(), "training": training, "scoring": scoring}
    write_json(folder / "timing.json", span)


def summary(folder: Path) -> dict[str, Any]:
    """What the slots of a session were used for.

    Args:
        folder: of the run.

    Returns:
        `wall`: seconds of the session; `phases`; `slots`; `students`: their number; shares of slots x wall, by what
        they went to: `training` and `scoring` of students; and `between`: seconds that slots waited between the end of
        a student and the start of the next, as a share of slots x the students' phase.

    Raises:
        InputError: the folder has no timing.
    """
    session = read_json(folder / "timing.json")
    spans = [read_json(path) for path in sorted(folder.glob("students/*/timing.json"))]
    spans = [span for span in spans if span["ended"] >= session["started"]]
    slots, wall = session["slots"], sum(session["phases"].values())
    phase = sum(session["phases"].get(name, 0.0) for name in STUDENTS)
    return {
        "wall": wall,
        "phases": session["phases"],
        "slots": slots,
        "students": len(spans),
        "training": sum(span["training"] for span in spans) / (slots * wall),
        "scoring": sum(span["scoring"] for span in spans) / (slots * wall),
        "training_of_phase": sum(span["training"] for span in spans) / (slots * phase) if phase else 0.0,
        "scoring_of_phase": sum(span["scoring"] for span in spans) / (slots * phase) if phase else 0.0,
        "between": waits(spans, slots) / (slots * phase) if phase else 0.0,
    }


def waits(spans: Sequence[Mapping[str, float]], slots: int) -> float:
    """Seconds that slots waited between two students; the wait for the first and after the last is not counted."""
    starts, ends = sorted(span["began"] for span in spans), sorted(span["ended"] for span in spans)
    return sum(max(0.0, start - end) for start, end in zip(starts[slots:], ends, strict=False))
