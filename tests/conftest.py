"""Sounds and corpora that tests of several packages need, made on the spot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from data import RATE
from data.array import Array
from data.scene import SceneSource

Signal = NDArray[np.float32]

PAIR = Array("pair", ((0.0, 0.0, 0.0), (0.03, 0.0, 0.0)))
"""Reference and front microphone: the smallest array."""


class Signals:
    """Arrays in place of a `data.bank.Bank`."""

    def __init__(self, signals: Sequence[Signal], groups: Sequence[str] | None = None) -> None:
        self._signals = [np.asarray(signal, dtype=np.float32) for signal in signals]
        self._groups = list(groups) if groups is not None else [f"g{i}" for i in range(len(signals))]

    @property
    def groups(self) -> Sequence[str]:
        return self._groups

    def __len__(self) -> int:
        return len(self._signals)

    def samples(self, index: int) -> Signal:
        return self._signals[index]


def bursts(seconds: float, rng: np.random.Generator, rate: int = RATE) -> Signal:
    """Noise in syllables: low-passed and 4 times a second as good as silent, so that PESQ takes it for speech."""
    time = np.arange(round(seconds * rate)) / rate
    noise = np.convolve(rng.normal(size=len(time)), np.ones(8) / 8, mode="same")
    return np.asarray(0.3 * noise * np.sin(np.pi * 4 * time) ** 4, dtype=np.float32)


def response(rng: np.random.Generator, seconds: float = 0.1) -> Signal:
    """A room impulse response: delay, direct path, decaying tail."""
    tail = rng.normal(size=round(seconds * RATE)) * np.exp(-np.arange(round(seconds * RATE)) / (0.02 * RATE))
    return np.concatenate([np.zeros(rng.integers(20, 60)), [1.0], 0.2 * tail]).astype(np.float32)


@pytest.fixture(scope="session")
def tiny_source() -> Callable[..., SceneSource]:
    """Makes a source of scenes from a few seconds of sound; one seed, one source."""

    def make(seed: int = 0, clips: int = 3, seconds: float = 1.0, array: Array = PAIR) -> SceneSource:
        rng = np.random.default_rng(seed)
        return SceneSource(
            Signals([bursts(seconds + 0.05 * i, rng) for i in range(clips)]),
            Signals([rng.normal(scale=0.1, size=round(0.7 * RATE)).astype(np.float32) for _ in range(2)]),
            Signals([response(rng) for _ in range(4)], ["small", "small", "large", "large"]),
            array,
        )

    return make


@dataclass(frozen=True)
class SmallCorpus:
    """Three folders in the layouts of the real corpora."""

    speech: Path
    noise: Path
    rirs: Path


@pytest.fixture(scope="session")
def small_corpus(tmp_path_factory: pytest.TempPathFactory) -> SmallCorpus:
    """Common Voice (12 speakers with 3 mp3 clips each), DNS noise (12 recordings at 48 kHz), SLR26 (12 rooms)."""
    root = tmp_path_factory.mktemp("corpora")
    rng = np.random.default_rng(0)

    speech = root / "cv-corpus" / "de"
    (speech / "clips").mkdir(parents=True)
    speakers = {"train": range(8), "dev": range(8, 10), "test": range(10, 12)}
    for table, numbers in speakers.items():
        rows = [["client_id", "path", "sentence"]]
        for number in numbers:
            for take in range(3):
                rows.append([f"speaker{number}", f"de_{number}_{take}.mp3", 'Ein "Satz".'])
                sound = bursts(1.0 + 0.25 * take, rng, 32_000)
                soundfile.write(speech / "clips" / rows[-1][1], sound, 32_000)
        (speech / f"{table}.tsv").write_text("".join("\t".join(row) + "\n" for row in rows), encoding="utf-8")

    noise = root / "noise_fullband"
    noise.mkdir()
    for number in range(12):
        soundfile.write(noise / f"hum{number}_0.wav", rng.normal(scale=0.1, size=48_000), 48_000)

    rirs = root / "simulated_rirs_16k"
    for size in ("smallroom", "mediumroom", "largeroom"):
        lines = []
        for room in range(1, 5):
            for take in (1, 2):
                name = f"Room{room:03}/Room{room:03}-{take:05}.wav"
                (rirs / size / name).parent.mkdir(parents=True, exist_ok=True)
                soundfile.write(rirs / size / name, 0.1 * response(rng), RATE)
                lines.append(
                    f"--rir-id {size}-{room}-{take} --room-id {size}-{room} simulated_rirs_16k/{size}/{name}\n"
                )
        (rirs / size / "rir_list").write_text("".join(lines))
    return SmallCorpus(speech, noise, rirs)
