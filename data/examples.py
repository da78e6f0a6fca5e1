"""Example sets: rendered once, memory-mapped, shared by all trials on a machine; or drawn afresh for each epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import copy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data import RATE
from data.errors import InputError
from data.files import making, read_json, text_digest, write_json
from data.scene import SNRS_DB, Scene, SceneSource, constants, render

FORMAT = 1
"""Raised when the scenes or the files change in a way that the key below does not see."""


@dataclass(frozen=True)
class SetSpec:
    """What shapes an example set, beside the sounds it is made from.

    Args:
        role: "train" or "val" (crops at random SNRs, for losses) or "score" (own length, at each of the five SNRs).
        clips: number of speech clips used; a "score" set has five examples for each.
        seconds: length of a crop, or the longest own length of a "score" example.
        seed: of everything drawn.
    """

    role: str
    clips: int
    seconds: float
    seed: int


class Examples(Protocol):
    """What a network is trained on, or its losses are watched on."""

    def __len__(self) -> int: ...

    def batch(self, indices: Sequence[int], epoch: int = 0) -> tuple[Tensor, Tensor]:
        """(B, M, N) noisy and (B, N) clean, all of one length; `epoch` counts from the start of the training."""
        ...


class ExampleSet:
    """A memory-mapped set of examples.

    Attributes:
        digest: the key of the set, see `set_key`.
        snr_db: (n,) SNR at the front microphone.
        clip: (n,) the clip an example was made from; examples of one clip differ in SNR only.

    Raises:
        InputError: the folder holds no whole set.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        index: dict[str, Any] = read_json(self.folder / "index.json")
        self.digest: str = index["digest"]
        self.microphones: int = index["microphones"]
        self.lengths: NDArray[np.int64] = np.asarray(index["lengths"], dtype=np.int64)
        self.snr_db: NDArray[np.float64] = np.asarray(index["snr_db"], dtype=np.float64)
        self.clip: NDArray[np.int64] = np.asarray(index["clip"], dtype=np.int64)
        self._start = np.concatenate(([0], np.cumsum(self.lengths)))
        try:
            samples = int(self._start[-1])
            self._target = np.memmap(self.folder / "target.f32", np.float32, "r", shape=samples)
            self._mixture = np.memmap(self.folder / "mixture.f32", np.float32, "r", shape=self.microphones * samples)
        except (OSError, ValueError):
            raise InputError(f"{self.folder} holds no whole example set; delete it to have it made anew") from None

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def seconds(self) -> float:
        """The sum of the examples' lengths in seconds."""
        return float(self._start[-1]) / RATE

    def target(self, index: int) -> NDArray[np.float32]:
        """(N,) clean anechoic speech at the reference microphone."""
        return self._target[self._start[index] : self._start[index + 1]]

    def mixture(self, index: int) -> NDArray[np.float32]:
        """(M, N) noisy microphone signals."""
        m = self.microphones
        return self._mixture[m * self._start[index] : m * self._start[index + 1]].reshape(m, -1)

    def batch(self, indices: Sequence[int], epoch: int = 0) -> tuple[Tensor, Tensor]:
        """(B, M, N) noisy and (B, N) clean, all of one length; the same in every epoch."""
        mixture = torch.from_numpy(np.stack([self.mixture(i) for i in indices]))
        return mixture, torch.from_numpy(np.stack([self.target(i) for i in indices]))


def scenes_of(source: SceneSource, spec: SetSpec) -> Iterator[Scene]:
    """The scenes of a set, each from a generator of its own, so that one does not depend on the number of others."""
    for number in range(spec.clips):
        yield from scenes_of_clip(source, spec, number)


def scenes_of_clip(source: SceneSource, spec: SetSpec, number: int) -> Iterator[Scene]:
    """The scene of one clip of a set, or its five scenes in a "score" set, in the order of `SNRS_DB`.

    Args:
        source, spec: of the set. Another array in the source gives the same scenes, heard from other places.
        number: of the clip in the set, from 0 on.
    """
    order = np.random.default_rng([spec.seed, 0]).permutation(len(source.speech))
    longest = round(spec.seconds * RATE)
    clip = int(order[number % len(order)])
    if spec.role != "score":
        yield source.draw(np.random.default_rng([spec.seed, 1, number]), clip, longest)
        return
    own = len(source.speech.samples(clip))
    for snr in SNRS_DB:  # the same generator: the five examples of a clip differ in SNR only
        rng = np.random.default_rng([spec.seed, 1, number])
        yield source.draw(rng, clip, None if own <= longest else longest, snr)


def set_key(source: SceneSource, sounds: str, spec: SetSpec) -> dict[str, Any]:
    """All that shapes a set: sounds (their digest), array, spec, the constants of the scenes, and the format."""
    return {
        "format": FORMAT,
        "sounds": sounds,
        "array": source.array.positions,
        "spec": asdict(spec),
        "scenes": constants(),
    }


def build_set(
    source: SceneSource,
    sounds: str,
    spec: SetSpec,
    cache: Path,
    progress: Callable[[float], None] | None = None,
) -> ExampleSet:
    """Renders a set, or opens it if the very same one is in the cache already.

    Args:
        source: where scenes come from.
        sounds: digest of the sounds in `source`.
        spec: number, length, role and seed.
        cache: folder of the sets; this one lands in `cache/ROLE-DIGEST`.
        progress: called with the share that is done.
    """
    key = set_key(source, sounds, spec)
    digest = text_digest(key)
    folder = Path(cache) / f"{spec.role}-{digest}"
    if (folder / "index.json").exists():
        return ExampleSet(folder)
    with making(folder) as temporary:
        lengths: list[int] = []
        snrs: list[float] = []
        clips: list[int] = []
        total = spec.clips * (len(SNRS_DB) if spec.role == "score" else 1)
        with open(temporary / "mixture.f32", "wb") as mixtures, open(temporary / "target.f32", "wb") as targets:
            for group in _runs_of_one_length(scenes_of(source, spec)):
                mixture, target = render(group)
                mixtures.write(mixture.numpy().tobytes())
                targets.write(target.numpy().tobytes())
                lengths += [len(scene.speech) for scene in group]
                snrs += [scene.snr_db for scene in group]
                clips += [scene.clip for scene in group]
                if progress is not None:
                    progress(len(lengths) / total)
        index = {"digest": digest, "key": key, "microphones": source.array.microphones}
        write_json(temporary / "index.json", index | {"lengths": lengths, "snr_db": snrs, "clip": clips})
        try:
            temporary.rename(folder)
        except OSError:  # another process was faster with the very same set
            if not (folder / "index.json").exists():
                raise
    return ExampleSet(folder)


def _runs_of_one_length(scenes: Iterator[Scene], most: int = 8) -> Iterator[list[Scene]]:
    run: list[Scene] = []
    for scene in scenes:
        if run and (len(run) == most or len(scene.speech) != len(run[0].speech)):
            yield run
            run = []
        run.append(scene)
    if run:
        yield run


class FreshScenes:
    """Training examples drawn afresh in each epoch (`--remix`); epoch e of one seed is always the same.

    Args:
        source: where scenes come from.
        spec: as for a "train" set.
        sounds: digest of the sounds in `source`.

    Attributes:
        digest: as an `ExampleSet` has it; other sounds, arrays or settings have another.
        cycle: epochs after which the same scenes come again; None for never.
    """

    cycle: int | None = None

    def __init__(self, source: SceneSource, spec: SetSpec, sounds: str) -> None:
        self.source, self.spec = source, spec
        self.digest = text_digest({"fresh": set_key(source, sounds, spec)})
        self.microphones = source.array.microphones

    def __len__(self) -> int:
        return self.spec.clips

    def cycling(self, epochs: int | None) -> FreshScenes:
        """The same scenes, those of the first epochs over and over; None for others in every epoch."""
        part = copy(self)
        part.cycle = epochs
        return part

    def batch(self, indices: Sequence[int], epoch: int = 0) -> tuple[Tensor, Tensor]:
        """(B, M, N) noisy and (B, N) clean of an epoch."""
        samples = round(self.spec.seconds * RATE)
        epoch = epoch if self.cycle is None else epoch % self.cycle
        scenes = []
        for index in indices:
            rng = np.random.default_rng([self.spec.seed, 2, epoch, index])
            clip = int(rng.integers(len(self.source.speech)))
            scenes.append(self.source.draw(rng, clip, samples))
        return render(scenes)


class JoinedExamples:
    """Examples of two corpora, one after the other: batches mix them as their indices do.

    Args:
        first, second: of the same microphones and length.
    """

    def __init__(self, first: Examples, second: Examples) -> None:
        self.first, self.second = first, second

    def __len__(self) -> int:
        return len(self.first) + len(self.second)

    def batch(self, indices: Sequence[int], epoch: int = 0) -> tuple[Tensor, Tensor]:
        """(B, M, N) noisy and (B, N) clean, in the order of the indices."""
        border = len(self.first)
        own = [[i for i in indices if i < border], [i - border for i in indices if i >= border]]
        parts = [part.batch(mine, epoch) for part, mine in zip((self.first, self.second), own, strict=True) if mine]
        noisy, clean = (torch.cat(kind) for kind in zip(*parts, strict=True))
        place = np.argsort(np.argsort([i >= border for i in indices], kind="stable"), kind="stable")
        return noisy[place], clean[place]
