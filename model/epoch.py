"""An epoch: how far the one at hand has come, and what a finished one did."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import Tensor


@dataclass(frozen=True)
class EpochRecord:
    """What one epoch did. Losses are means over the examples that they were computed for; NaN where there are none.

    `epoch` counts over all stages from 1, `alpha` and `lr` are those of its last step, `best` tells whether the epoch
    is the best of its stage so far, `done` whether it was the last one of the training, `output_trained` whether a PESQ
    of this epoch means anything.
    """

    epoch: int
    stage: str
    epoch_in_stage: int
    alpha: float
    lr: float
    loss_train: float
    loss_train_hard: float
    loss_train_soft: float
    loss_val_hard: float
    loss_val_soft: float
    seconds: float
    best: bool
    done: bool
    output_trained: bool
    scales: dict[str, float]


@dataclass
class Progress:
    """How far the epoch at hand has come.

    Args:
        steps: done.
        sums: of the training losses (total, hard, soft) over examples.
        examples: that each of them was computed for.
        seconds: spent, in earlier runs too.
    """

    steps: int = 0
    sums: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    examples: list[int] = field(default_factory=lambda: [0, 0, 0])
    seconds: float = 0.0

    def add(self, losses: Sequence[Tensor | None], examples: int) -> None:
        """Takes the losses of a step; None for one that was not computed."""
        for i, loss in enumerate(losses):
            if loss is not None:  # plain floats: a checkpoint with numpy's would not load without pickle
                self.sums[i] += examples * float(loss.detach())
                self.examples[i] += examples
        self.steps += 1

    def means(self) -> list[float]:
        """Of the losses; NaN for one that was never computed."""
        return [total / n if n else math.nan for total, n in zip(self.sums, self.examples, strict=True)]
