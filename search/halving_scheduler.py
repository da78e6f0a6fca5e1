"""How Ray Tune hears of the rungs, and what is said of the students that still wait when a search ends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from search.halving import Rungs, log_gmac
from search.proposals import Proposals
from search.space import Choice
from search.student import leave_halved


class HalvingScheduler(FIFOScheduler):
    """Ends the trial of a student that is to wait; `TuneSearcher` hands the student out again in another trial.

    A student that reports waits for the answer, with its checkpoint and its history written. On STOP its function ends
    within that report, and the worker takes the next student; so nothing is trained that is not kept, and a paused
    student is a folder and a line in the journal, not a process. Tune's own PAUSE would hold a trial that a later
    session cannot bring back.

    Args:
        rungs: decide.
        proposals: are told who waits.
        paused: called with the number of a student once its trial has ended.
    """

    _supports_buffered_results = False  # Ray's word; a second epoch must not begin before the first is decided on

    def __init__(self, rungs: Rungs, proposals: Proposals, paused: Callable[[int], None]) -> None:
        super().__init__()
        self._rungs: Rungs | None = rungs
        self._proposals: Proposals | None = proposals
        self._told: Callable[[int], None] | None = paused

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Decides on a student that reports its score at a rung. A repeat is trained whatever it scores."""
        number, choice = trial.config["number"], Choice(**trial.config["choice"])
        rung, pesq = result.get("rung"), result.get("pesq")
        if self._rungs is None or self._proposals is None or rung is None or pesq is None or choice.repeat:
            return str(TrialScheduler.CONTINUE)
        self._rungs.report(number, log_gmac(choice.size), int(rung), float(pesq))
        if self._rungs.decide(number) == "go on":
            return str(TrialScheduler.CONTINUE)
        self._proposals.pause(number, float(pesq))
        return str(TrialScheduler.STOP)

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        """Tells that a student waits, after everybody has heard its last report."""
        number = trial.config["number"]
        if self._rungs is not None and self._told is not None and number in self._rungs.paused():
            self._told(number)

    def __getstate__(self) -> dict[str, Any]:
        """Tune pickles schedulers with the experiment; such a copy decides nothing."""
        return {**self.__dict__, "_rungs": None, "_proposals": None, "_told": None}


def leave_paused(
    proposals: Proposals, folder: Callable[[int], Path], halved: Callable[[int, dict[str, Any]], None]
) -> list[int]:
    """Says of the students that wait at the end of a search, in a `result.json`, how they stand.

    In the study they go on waiting, with their checkpoints: a session with more students or more time may promote them.

    Args:
        proposals: the study.
        folder: of a student.
        halved: called with the number and the result of each.

    Returns:
        Their numbers.
    """
    waiting = [one.number for one in proposals.trials() if one.state == "PAUSED"]
    for number in waiting:
        halved(number, leave_halved(folder(number)))
    return waiting
