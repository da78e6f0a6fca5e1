"""The demo corpus's noise recordings: synthesised ones, and babble mixed of the talkers of the same split.

Run as a program (`python -m data.demo_noise`, a job as JSON on standard input) it makes all recordings of some kinds.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from data import RATE
from data.demo_plan import SPLITS, DemoSizes, generator, levelled, serve
from data.demo_sounds import SOUNDS, Rng, Signal, coloured, unit

PARTS = 2
"""Worker processes that share the kinds."""

KINDS = (*SOUNDS, "babble")


def _babble(rng: Rng, n: int, talkers: list[list[str]]) -> Signal:
    """A crowd: up to ten talkers of the split at once (each list holds one talker's clips), far and near."""
    out = np.zeros(n)
    count = min(len(talkers), int(rng.integers(5, 11)))
    for talker in rng.permutation(len(talkers))[:count]:
        said: list[Signal] = []
        while sum(map(len, said)) < n:
            said.append(unit(soundfile.read(talkers[talker][int(rng.integers(len(talkers[talker])))])[0]))
        out += rng.uniform(0.4, 1.0) * np.roll(np.concatenate(said)[:n], int(rng.integers(n)))
    return unit(out) + rng.uniform(0.02, 0.1) * coloured(rng, n, [20, 300, 8000], [0, 0, -25])


def _make_kinds(job: dict[str, Any]) -> None:
    """Writes all recordings of some kinds. Numbers run on over the splits: no name occurs twice."""
    n = round(job["seconds"] * RATE)
    for kind in job["kinds"]:
        splits = [split for split, count in zip(SPLITS, job["counts"], strict=True) for _ in range(count)]
        for number, split in enumerate(splits):
            rng = generator("noise", kind, number)
            samples = unit(_babble(rng, n, job["talkers"][split]) if kind == "babble" else SOUNDS[kind](rng, n))
            limited = np.tanh(samples / 8) * 8  # single strokes far above the rest would make the rest silent
            path = Path(job["folder"]) / split / f"{kind}-{number:02d}.wav"
            soundfile.write(path, levelled(limited, float(rng.uniform(-30.0, -20.0))), RATE, subtype="PCM_16")


def _job(kinds: list[str], sizes: DemoSizes, folder: Path, talkers: dict[str, list[list[str]]]) -> dict[str, Any]:
    return {
        "kinds": kinds,
        "seconds": sizes.noise_seconds,
        "counts": sizes.noises,
        "folder": str(folder),
        "talkers": talkers,
    }


def jobs(sizes: DemoSizes, folder: Path) -> list[dict[str, Any]]:
    """The work of this module's program but for babble, in parts that may run at once."""
    kinds = list(SOUNDS)
    return [_job(kinds[start::PARTS], sizes, folder, {}) for start in range(PARTS)]


def babble_job(sizes: DemoSizes, folder: Path, talkers: dict[str, list[list[str]]]) -> dict[str, Any]:
    """The babble: `talkers` holds, by split, each talker's clips."""
    return _job(["babble"], sizes, folder, talkers)


if __name__ == "__main__":
    from data.errors import run_command

    run_command(lambda: serve(_make_kinds))
