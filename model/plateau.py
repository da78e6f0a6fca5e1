"""When the learning rate is halved and when a stage ends (section 5.2)."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass
class Plateau:
    """Counts epochs without improvement of one validation loss.

    The learning rate is halved whenever the loss did not improve for `halve_after` consecutive epochs, the count for
    the next halving then starts anew; the stage ends when it did not improve for `stop_after` consecutive epochs.
    Epochs of a ramp of alpha do not count: the validation loss may well stall until alpha has arrived, and a stage that
    ended before would never have trained on what it is judged by.

    Args:
        halve_after: 3 in the paper.
        stop_after: 6 in the paper; None never stops.
    """

    halve_after: int = 3
    stop_after: int | None = 6
    best: float = math.inf
    since_best: int = 0
    halvings: int = 0

    def update(self, loss: float, counts: bool = True) -> bool:
        """Takes the loss of one more epoch; returns whether it is the best so far. NaN never is.

        Args:
            loss: of the validation.
            counts: False while alpha moves: such an epoch can be the best, but brings neither halving nor end nearer.
        """
        if loss < self.best:
            self.best, self.since_best = loss, 0
            return True
        if not counts:
            return False
        self.since_best += 1
        if self.since_best % self.halve_after == 0:
            self.halvings += 1
        return False

    @property
    def factor(self) -> float:
        """What the initial learning rate is to be multiplied by."""
        return 0.5**self.halvings

    @property
    def ended(self) -> bool:
        """Whether early stopping ends the stage."""
        return self.stop_after is not None and self.since_best >= self.stop_after
