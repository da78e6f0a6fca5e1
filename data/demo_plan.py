"""What the makers of the demo corpus share: its amounts, its seeded generators and the way its worker processes run."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.errors import InputError

SPLITS = ("train", "dev", "test")
"""The splits of the demo corpus, named as Common Voice names them."""


@dataclass(frozen=True)
class DemoSizes:
    """How much of what a demo corpus holds. Triples are (train, dev, test).

    Args:
        speakers: speakers of each split.
        minutes: minutes of speech of each split, over all its speakers (met to within one clip a speaker).
        noises: recordings of each kind of noise.
        noise_seconds: length of a noise recording.
        rooms: rooms of each of the three size classes.
        rirs: impulse responses of each room.
    """

    speakers: tuple[int, int, int] = (36, 6, 8)
    minutes: tuple[float, float, float] = (45.0, 6.0, 6.0)
    noises: tuple[int, int, int] = (10, 3, 4)
    noise_seconds: float = 10.0
    rooms: int = 20
    rirs: int = 3


TINY = DemoSizes((2, 1, 1), (0.15, 0.08, 0.08), (1, 1, 1), 1.0, 1, 2)
"""A few seconds of everything, for tests."""


def generator(*name: object) -> np.random.Generator:
    """A random generator of its own for each thing made, so that nothing depends on the order of making."""
    seed = hashlib.sha256("/".join(map(str, name)).encode()).digest()
    return np.random.default_rng(int.from_bytes(seed[:16], "little"))


def levelled(samples: NDArray[np.float64], rms_dbfs: float, peak: float = 0.9) -> NDArray[np.int16]:
    """16-bit samples at `rms_dbfs`, or lower where the largest sample would exceed `peak` (full scale is 1)."""
    samples = samples - samples.mean()
    gain = min(10 ** (rms_dbfs / 20) / np.sqrt(np.mean(samples**2)), peak / np.abs(samples).max())
    scaled: NDArray[np.int16] = np.round(samples * gain * 32767).astype(np.int16)
    return scaled


def run_worker(module: str, job: dict[str, Any]) -> Any:
    """Runs `python -m module` with `job` as JSON on its standard input and returns the JSON that it prints.

    A program rather than a pool of `multiprocessing`: espeak-ng keeps global state, so each job needs a fresh process
    to give the same audio every time, and neither the caller's main module nor its threads come along.

    Raises:
        InputError: the worker ended on one, or failed.
    """
    root = str(Path(__file__).resolve().parent.parent)
    # One thread of linear algebra a worker: the workers are the parallelism.
    environment = {**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", module], input=json.dumps(job), capture_output=True, text=True, cwd=root, env=environment
    )
    if done.returncode == 0:
        return json.loads(done.stdout)
    last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
    if done.returncode == 2 and last.startswith("error: "):
        raise InputError(last.removeprefix("error: "))
    raise InputError(
        f"the demo corpus cannot be made: `python -m {module}` failed with: {last}; give --speech, --noise and --rirs "
        "to work without it"
    )


def serve(make: Callable[[dict[str, Any]], Any]) -> None:
    """A worker's side of `run_worker`: one job in, its result out."""
    print(json.dumps(make(json.load(sys.stdin))))
