"""When a search ends: it has all its students, its time is over, or its front no longer grows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from search.start import START

Ended = Literal["trials", "patience", "time budget", "all tried", "stopped", "broken"]
"""What ended a search."""

PATIENCE = max(10, START)
"""Finished students without a gain that are waited for by default: never fewer than the sizes that a search starts
with, as it is only behind them that it looks where the front may grow."""
GAIN = 0.01
"""Growth of the hypervolume, as a share of it, that counts as a gain."""


class Stopping:
    """Watches the hypervolume, one value after each finished student.

    Args:
        patience: finished students in which the hypervolume must have gained `GAIN`, or the search ends; 0 for no such
            end. The students of the start do not count: they are spread out to be a base, not to beat one another.
        volumes: those of earlier sessions.
        since: how many of these do not count, beside those of the start: after more students were asked for, the ones
            before are no reason to end once more.
    """

    def __init__(self, patience: int, volumes: Iterable[float] = (), since: int = 0) -> None:
        self._patience, self._since = patience, max(START, since)
        self._volumes = list(volumes)

    def stands(self, finished: int, volume: float) -> None:
        """So many students have finished, and the hypervolume is `volume` with the last of them."""
        self._volumes += [volume] * (finished - len(self._volumes))

    @property
    def volume(self) -> float:
        """The hypervolume with the last student; 0 without one."""
        return self._volumes[-1] if self._volumes else 0.0

    @property
    def stalled(self) -> bool:
        """Whether the hypervolume has gained less than `GAIN` over the last `patience` finished students."""
        if self._patience <= 0 or len(self._volumes) < self._since + self._patience:
            return False
        return self._volumes[-1] < (1 + GAIN) * self._volumes[-1 - self._patience] or self._volumes[-1] <= 0


def told(ended: Ended, *, trials: int, patience: int) -> str:
    """Why a search ended, in words."""
    return {
        "trials": f"all of its {trials} students were trained (--trials)",
        "patience": f"the hypervolume gained less than {GAIN:.0%} over the last {patience} students (--patience)",
        "time budget": "its time was over (--time-budget)",
        "all tried": "there is nothing left to try within the budget",
        "stopped": "it was stopped by a signal",
        "broken": "students failed one after the other",
    }[ended]
