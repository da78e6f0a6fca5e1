"""Example sets of random noise: what a step costs does not depend on what is heard in it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data import RATE
from data.array import Array
from data.examples import ExampleSet, SetSpec, build_set
from data.scene import SceneSource


class Signals:
    """Arrays in place of a `data.bank.Bank`."""

    def __init__(self, signals: Sequence[NDArray[np.float32]]) -> None:
        self._signals = signals

    @property
    def groups(self) -> Sequence[str]:
        """Each signal is of a group of its own."""
        return [f"signal {i}" for i in range(len(self._signals))]

    def __len__(self) -> int:
        return len(self._signals)

    def samples(self, index: int) -> NDArray[np.float32]:
        """(N,) of one signal."""
        return self._signals[index]


def noise_source(seconds: float = 6.0, count: int = 4) -> SceneSource:
    """Scenes from white noise in rooms of half a second."""
    rng = np.random.default_rng(0)

    def white(length: float) -> NDArray[np.float32]:
        return rng.normal(scale=0.1, size=round(length * RATE)).astype(np.float32)

    decay = np.exp(-np.arange(RATE // 2) / (0.1 * RATE)).astype(np.float32)
    rooms = [np.concatenate([[1.0], 0.2 * white(0.5) * decay]).astype(np.float32) for _ in range(count)]
    speech, noise = ([white(seconds) for _ in range(count)] for _ in range(2))
    return SceneSource(Signals(speech), Signals(noise), Signals(rooms), Array.parse("cross"))


def noise_examples(clips: int, seconds: float, folder: Path) -> ExampleSet:
    """A set of crops from `noise_source`, made in the folder."""
    return build_set(noise_source(seconds + 2), "noise", SetSpec("train", clips, seconds, 0), folder)
