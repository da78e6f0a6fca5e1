"""How long a network takes for a frame on one core: measured, as MACs are not time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from data import RATE
from model.ftjnf import FTJNF, State
from model.stft import BINS, HOP

FRAME_MS = 1000 * HOP / RATE
"""Milliseconds between two frames: what real time leaves for one."""


@dataclass(frozen=True)
class FrameTime:
    """Milliseconds a frame.

    Args:
        p50: the median.
        p90: nine of ten frames take no longer.
    """

    p50: float
    p90: float


def frame_times(
    nets: Mapping[str, FTJNF],
    frames: int = 40,
    warm_up: int = 8,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, FrameTime]:
    """Runs networks frame by frame with their state, on the processor, on one thread, in fp32.

    The networks take turns, so that a machine that becomes slower meanwhile becomes so for all of them. Timed is the
    network, from the spectra of all microphones to the mask; the transforms before and after it are the same for all.

    Args:
        nets: by name; in evaluation mode, on the CPU.
        frames: timed frames of each.
        warm_up: frames before, not timed.
        clock: in seconds.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    seconds: dict[str, list[float]] = {name: [] for name in nets}
    states: dict[str, State | None] = dict.fromkeys(nets)
    generator = torch.Generator().manual_seed(0)
    try:
        with torch.inference_mode():
            for turn in range(warm_up + frames):
                for name, net in nets.items():
                    parts = torch.randn(1, net.size.microphones, BINS, 1, 2, generator=generator)
                    frame = torch.view_as_complex(parts)
                    started = clock()
                    states[name] = net(frame, states[name]).state
                    if turn >= warm_up:
                        seconds[name].append(clock() - started)
    finally:
        torch.set_num_threads(threads)
    return {
        name: FrameTime(float(1000 * np.quantile(values, 0.5)), float(1000 * np.quantile(values, 0.9)))
        for name, values in seconds.items()
    }
