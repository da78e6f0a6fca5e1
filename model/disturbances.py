"""Odd input: a clip of the test as microphones hear it that are broken, displaced or at another level."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from data.array import Array
from data.scene import Scene, render
from model.ftjnf import REFERENCE

QUIET_DBFS = -70.0
"""Level of a microphone's own noise in a quiet room."""
LOW_DBFS = -40.0
"""Level of soft speech: the scenes have -36..-16 dBFS."""
OVERLOAD_DB = 12.0
"""How far beyond full scale the peaks of an overloaded input would reach."""
OFFSET = 0.05
"""Of full scale."""
DISPLACEMENT = 0.005
"""In m, of every microphone, each in a direction of its own."""
GAIN_DB = 1.0
"""By which each microphone is too loud or too soft."""

Rng = np.random.Generator


@dataclass(frozen=True)
class Clip:
    """One clip of the test at its five SNRs.

    Args:
        noisy: (5, M, N) as the microphones hear it.
        scenes: the five scenes.
        redrawn: the same five heard by another array.
        array: the right one.
    """

    noisy: Tensor
    scenes: Sequence[Scene]
    redrawn: Callable[[Array], Sequence[Scene]]
    array: Array


@dataclass(frozen=True)
class Condition:
    """One way to disturb the input.

    Args:
        told: what it is, for tables.
        hear: the clip and a generator -> (B, M, N) what the microphones hear; B is 5, or 1 if all SNRs are alike.
        speech: whether somebody talks, so that there is a PESQ.
        compared: whether that PESQ can be compared with the undisturbed scenes'.
        least: microphones that it takes.
    """

    told: str
    hear: Callable[[Clip, Rng], Tensor]
    speech: bool = True
    compared: bool = True
    least: int = 1


def _clean(clip: Clip, rng: Rng) -> Tensor:
    bare = replace(clip.scenes[0], snr_db=math.inf, speech_rir=np.ones(1, np.float32))
    return render([bare])[0]


def _quiet(clip: Clip, rng: Rng) -> Tensor:
    noise = rng.standard_normal(clip.noisy[:1].shape, dtype=np.float32)
    return torch.from_numpy(noise * np.float32(10 ** (QUIET_DBFS / 20)))


def _low(clip: Clip, rng: Rng) -> Tensor:
    gains = [10 ** ((LOW_DBFS - scene.level_dbfs) / 20) for scene in clip.scenes]
    return clip.noisy * torch.tensor(gains, dtype=torch.float32)[:, None, None]


def _overloaded(clip: Clip, rng: Rng) -> Tensor:
    peaks = clip.noisy.abs().amax(dim=(1, 2), keepdim=True).clamp(min=1e-8)
    return (clip.noisy * (10 ** (OVERLOAD_DB / 20) / peaks)).clamp(-1, 1)


def _dead(microphone: int) -> Callable[[Clip, Rng], Tensor]:
    def hear(clip: Clip, rng: Rng) -> Tensor:
        noisy = clip.noisy.clone()
        noisy[:, microphone] = 0
        return noisy

    return hear


def _swapped(clip: Clip, rng: Rng) -> Tensor:
    order = list(range(clip.noisy.shape[1]))
    order[1], order[2] = order[2], order[1]
    return clip.noisy[:, order]


def _moved(clip: Clip, rng: Rng) -> Tensor:
    places = np.asarray(clip.array.positions)
    steps = rng.normal(size=places.shape)
    places = places + DISPLACEMENT * steps / np.linalg.norm(steps, axis=1, keepdims=True)
    moved = Array("moved", tuple((float(x), float(y), float(z)) for x, y, z in places))
    return render(clip.redrawn(moved))[0]


def _gains(clip: Clip, rng: Rng) -> Tensor:
    signs = rng.choice([-1.0, 1.0], size=clip.noisy.shape[1])
    return clip.noisy * torch.from_numpy(10 ** (GAIN_DB * signs / 20)).to(torch.float32)[:, None]


UNDISTURBED = "undisturbed"
CONDITIONS: Mapping[str, Condition] = {
    UNDISTURBED: Condition("the test scenes as they are", lambda clip, rng: clip.noisy),
    "low_level": Condition(f"speech at {LOW_DBFS:g} dBFS", _low),
    "clipping": Condition(f"clipped at full scale, peaks {OVERLOAD_DB:g} dB beyond it", _overloaded),
    "dc": Condition(f"DC offset of {100 * OFFSET:g} % of full scale", lambda clip, rng: clip.noisy + OFFSET),
    "dead_microphone": Condition("microphone 1 dead", _dead(1), least=2),
    "dead_reference": Condition("microphone 0, the reference, dead", _dead(REFERENCE)),
    "swapped": Condition("microphones 1 and 2 swapped", _swapped, least=3),
    "moved": Condition(f"microphones moved by {1000 * DISPLACEMENT:g} mm", _moved, least=2),
    "gains": Condition(f"gains {GAIN_DB:g} dB too high or too low", _gains, least=2),
    "clean": Condition("clean speech, no noise, no room (untouched: 4.64)", _clean, compared=False),
    "quiet": Condition(f"nobody talks, {QUIET_DBFS:g} dBFS of the microphones' own noise", _quiet, speech=False),
    "silence": Condition("digital silence", lambda clip, rng: torch.zeros_like(clip.noisy[:1]), speech=False),
}
"""What is measured. Microphones are counted from 0."""
