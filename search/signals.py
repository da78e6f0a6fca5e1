"""SIGINT and SIGTERM in a search: the first one ends it in order, a second one at once."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from data.errors import Interrupted

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Signals:
    """Listens to the signals that stop a search.

    While Tune runs, the first one goes through Tune's own door (SIGUSR1), so that trials end with a checkpoint; within
    `hold` it waits; at any other time, and when it is the second one, it raises `Interrupted` where the program stands.
    """

    def __init__(self) -> None:
        self.caught: int | None = None
        self._tuning = self._held = False
        self._before = {number: signal.getsignal(number) for number in SIGNALS}

    def listen(self) -> None:
        """Takes the signals over; again after somebody else has taken them."""
        for number in SIGNALS:
            signal.signal(number, self._stop)

    def restore(self) -> None:
        """Gives the signals back to who had them."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def heed(self) -> None:
        """Raises `Interrupted` if a signal has come."""
        if self.caught is not None:
            raise Interrupted(self.caught)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Lets a first signal wait for the end of a call into Ray, which loses exceptions raised by signal handlers."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
        self.heed()

    @contextmanager
    def tuning(self) -> Iterator[None]:
        """While Tune runs. A signal from before Tune listens is not lost: no trial starts after one."""
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        self._tuning = True
        try:
            yield
        finally:
            self._tuning = False

    def _stop(self, number: int, frame: FrameType | None) -> None:
        second = self.caught is not None
        self.caught = self.caught or number
        if second or not (self._tuning or self._held):
            raise Interrupted(number)
        if self._tuning:
            os.kill(os.getpid(), signal.SIGUSR1)
