"""How long training takes here: measured on a few steps, so that what is promised before a search is honest."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import torch

from data.examples import Examples
from model.ftjnf import FTJNF, Size, apply_mask
from model.losses import hard_loss
from model.macs import cell_macs
from model.precision import arithmetic
from model.stft import stft

FORWARD_SHARE = 0.35
"""Of a training step's time, what its forward pass takes."""


@dataclass(frozen=True)
class Pace:
    """Seconds of one training step of a batch, as a straight line over the MACs of a time-frequency cell.

    The intercept is no detail: the 257 sequential steps over frequency cost about the same in every small student.

    Args:
        intercept: seconds a step of a network without any MACs would take.
        slope: seconds a step per multiply-accumulate of a cell.
    """

    intercept: float
    slope: float

    def step(self, size: Size) -> float:
        """Seconds of a training step of this size."""
        return self.intercept + self.slope * cell_macs(size)


def time_step(
    size: Size, examples: Examples, batch: int, precision: str, device: torch.device, steps: int = 4
) -> float:
    """Least seconds of one training step without KD, after one to warm up: what disturbs can only add."""
    net = FTJNF(size).to(device)
    indices = [i % len(examples) for i in range(batch)]
    noisy, clean = (part.to(device) for part in examples.batch(indices))
    times = []
    for _ in range(steps + 1):
        started = time.perf_counter()
        spectrum = stft(noisy)
        with arithmetic(precision, device):
            output = net(spectrum)
        hard_loss(apply_mask(output, spectrum, noisy.shape[-1]), clean).backward()
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - started)
    return min(times[1:])


def measure_pace(
    small: Size, large: Size, examples: Examples, batch: int, precision: str, device: torch.device
) -> Pace:
    """The pace between two sizes."""
    first = time_step(small, examples, batch, precision, device)
    if cell_macs(small) == cell_macs(large):
        return Pace(first, 0.0)
    second = time_step(large, examples, batch, precision, device)
    slope = max(0.0, (second - first) / (cell_macs(large) - cell_macs(small)))
    return Pace(max(0.0, first - slope * cell_macs(small)), slope)


def epoch_seconds(step: float, train: int, val: int, batch: int) -> float:
    """Seconds of an epoch of `train` examples and the validation losses of `val` ones, at `step` seconds a step."""
    return math.ceil(train / batch) * step + math.ceil(val / batch) * FORWARD_SHARE * step
