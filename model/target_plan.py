"""What of the teacher's outputs is stored on disk: decided once for a search, from the space that they may take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from model.distill import METHODS, ORDER
from model.ftjnf import Layer, Size
from model.stft import BINS

POSITION_SETS = 4
"""Most sets of random positions stored for each clip of a fixed set; epochs take turns."""
LSTMS = {"f_lstm", "t_lstm"}
"""The layers that are stored at positions."""
FILE_BYTES = 1200
"""What the file of a fresh scene takes beside its values, at most."""


def layers_of(methods: Sequence[str]) -> tuple[Layer, ...]:
    """The layers that some KD methods need of the teacher, from input to output; the mask is had from `linear`."""
    return _ordered({("linear" if layer == "mask" else layer) for name in methods for layer, _ in METHODS[name].layers})


@dataclass(frozen=True)
class TargetPlan:
    """What of the teacher's outputs is stored for all students of a search.

    Args:
        layers: those that are stored; beside a method that needs another one the teacher runs in every step.
        position_sets: of each training clip of a fixed set; epochs take turns.
        cycle: epochs of fresh scenes after which the same scenes come again, for every student; None for never.
        bytes: that the targets of training and validation take together.
    """

    layers: tuple[Layer, ...] = ORDER[:3]
    position_sets: int = POSITION_SETS
    cycle: int | None = None
    bytes: int = 0

    def holds(self, method: str) -> bool:
        """Whether all that a method needs is stored."""
        return set(layers_of([method])) <= set(self.layers)

    def shapes(self, method: str) -> dict[str, Any]:
        """What of it makes another student than unlimited space would; belongs to the student's recipe."""
        layers, shape = layers_of([method]), {}
        if self.cycle is not None:
            shape["targets_cycle"] = self.cycle
        if not self.holds(method):
            shape["targets_stored"] = 0
        elif set(layers) & LSTMS and self.position_sets != POSITION_SETS:
            shape["targets_position_sets"] = self.position_sets
        return shape


WHOLE = TargetPlan()
"""Everything is stored."""


def plan_targets(
    size: Size,
    methods: Sequence[str],
    positions: int,
    length: int,
    train: int,
    val: int,
    limit: float,
    *,
    fresh_epochs: int | None = None,
) -> TargetPlan:
    """The most that fits: as many layers as possible, the cheapest first, and then as many draws of each clip.

    A draw is another set of positions for a clip of a fixed set, and another epoch of fresh scenes. The validation set
    has one. With fewer epochs of scenes than a training has they come again, so that every student of the search finds
    what the first has computed.

    Args:
        size: of the teacher.
        methods: the KD methods that will be trained.
        positions: P, at which the LSTM layers are stored.
        length: L, frames of a clip.
        train: training clips an epoch.
        val: validation clips.
        limit: bytes for training and validation together.
        fresh_epochs: the most epochs of a training on fresh scenes; None for a fixed set.
    """

    def total(layers: Sequence[Layer], draws: int) -> int:
        if fresh_epochs is None:
            clip = example_bytes(size, layers, length, positions, draws)
        else:
            clip = draws * (example_bytes(size, layers, length, positions, 1) + FILE_BYTES)
        return train * clip + val * example_bytes(size, layers, length, positions, 1)

    stored: list[Layer] = []
    for layer in sorted(layers_of(methods), key=lambda one: total([one], 1)):
        if total([*stored, layer], 1) <= limit:
            stored.append(layer)
    if not stored:
        return TargetPlan(())
    most = POSITION_SETS if fresh_epochs is None else fresh_epochs
    draws = max(number for number in range(1, most + 1) if total(stored, number) <= limit)
    layers = _ordered(set(stored))
    if fresh_epochs is None:
        return TargetPlan(layers, draws, bytes=total(layers, draws))
    return TargetPlan(layers, cycle=draws if draws < most else None, bytes=total(layers, draws))


def example_bytes(size: Size, layers: Sequence[Layer], length: int, positions: int, sets: int) -> int:
    """Bytes of a clip's targets: the linear layer and sets of positions of the LSTM layers in fp16, positions in int32.

    Args:
        size: of the teacher.
        layers: that are stored.
        length: L, frames of the clip.
        positions: P.
        sets: of positions.
    """
    units = [units_of(size, layer) for layer in layers if layer in LSTMS]
    whole = 2 * 2 * BINS * length if "linear" in layers else 0
    return whole + sets * min(positions, BINS * length) * (2 * sum(units) + (4 if units else 0))


def units_of(size: Size, layer: Layer) -> int:
    """C, the outputs of an LSTM layer at a time-frequency cell."""
    return size.t_hidden if layer == "t_lstm" else size.f_hidden * (2 if size.bi_freq else 1)


def _ordered(layers: set[Layer]) -> tuple[Layer, ...]:
    return tuple(layer for layer in ORDER if layer in layers)
