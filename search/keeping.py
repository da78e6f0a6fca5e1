"""Whose weights and checkpoints stay on disk while a search runs."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from search.certainty import near_rivals
from search.proposal import Proposal
from search.results import Record
from search.standing import STANDING, WEIGHTS

CHECKPOINT = "last.pt"
"""The file that has the whole state of a training."""


class Keeping:
    """Removes the weights and checkpoints of students that have ended and are neither on the front nor near it.

    Scores, history and configuration of every student stay. So does all of a student that is in training, waits, or was
    left unfinished or cut short by the time, and of all seeds of a configuration that is kept.

    Args:
        students: folder of the students' folders.
        everything: whether to remove nothing.
    """

    def __init__(self, students: Path, *, everything: bool) -> None:
        self._students, self._everything = students, everything
        self._removed: set[int] = set()

    def clean(self, trials: Sequence[Proposal], records: Sequence[Record]) -> None:
        """Removes what is not needed any more, and says so in the records' `checkpoint`.

        Args:
            trials: all so far.
            records: of the finished ones, as `results.mark_front` sorts and marks them.
        """
        if self._everything:
            return
        members = [*(record for record in records if record["front"]), *near_rivals(records)]
        kept = {number for record in members for number in record["trials"]}
        kept |= {trial.number for trial in trials if trial.cut}
        for trial in trials:
            if trial.state in ("RUNNING", "PAUSED") or trial.number in kept or trial.number in self._removed:
                continue
            folder = self._students / f"{trial.number:04d}"
            if trial.state == "COMPLETE" and not (folder / "result.json").exists():
                continue  # it has ended, but not yet said how
            for name in (WEIGHTS, STANDING, CHECKPOINT):
                (folder / name).unlink(missing_ok=True)
            self._removed.add(trial.number)
        for record in records:
            if record["checkpoint"] is not None and not kept.intersection(record["trials"]):
                record["checkpoint"] = None


def clean_tune(folder: Path) -> None:
    """Removes what Ray Tune notes of sessions, but for the errors of students that failed: `--resume` needs none of it.

    Args:
        folder: `ray` in the run folder.
    """
    for session in folder.glob("session-*"):
        for trial in session.iterdir():
            if trial.is_file():
                trial.unlink(missing_ok=True)
            elif not any(trial.glob("error.*")):
                shutil.rmtree(trial, ignore_errors=True)
        if not any(session.iterdir()):
            session.rmdir()
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
