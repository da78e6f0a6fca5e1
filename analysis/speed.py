"""Milliseconds a frame of a search's students on this machine: the axis of `choose.py --max-ms`."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from analysis.choice import Search, name_of
from analysis.series import Record
from data.errors import InputError
from model.export import export_onnx
from model.frame_time import frame_times, onnx_frame
from model.stft import BINS
from model.weights import load_network

ENGINE = "onnxruntime, fp32, one thread"
FRAMES, ROUNDS = 40, 3


def weights_of(search: Search, student: Record) -> Path:
    """Where the weights of a student lie.

    Raises:
        InputError: nowhere.
    """
    if not student.get("checkpoint"):
        raise InputError(
            f"the weights of {name_of(student)} of {search.folder} were not kept, as it is neither on the front nor "
            "near it; choose another one (a search with --keep-checkpoints all keeps them)"
        )
    path = Path(str(student["checkpoint"]))
    if path.is_absolute():  # as earlier versions wrote it: since then the folder may have been moved, its name reused
        inside = search.folder / "students" / f"{student['trial']:04d}" / path.name
        path = inside if inside.parent.is_dir() else path
    path = search.folder / path
    if not path.is_file():
        raise InputError(f"the weights of {name_of(student)} are missing at {path}; restore them or choose another")
    return path


def frame_ms(search: Search, students: Sequence[Record]) -> dict[int, float]:
    """Median milliseconds of a frame by trial, all students by turns, as `ENGINE` runs them on this machine.

    Raises:
        InputError: the weights of one are missing or broken.
    """
    with tempfile.TemporaryDirectory() as folder:
        runs, microphones = {}, 0
        for student in students:
            net, _ = load_network(weights_of(search, student))
            path = Path(folder) / f"{student['trial']}.onnx"
            export_onnx(net, path)
            runs[str(student["trial"])] = onnx_frame(path)
            microphones = net.size.microphones  # one array, so all of a search have as many
        frames = np.random.default_rng(0).standard_normal((FRAMES, microphones, BINS, 2)).astype(np.float32)
        times = frame_times(runs, frames, rounds=ROUNDS)
    return {int(trial): float(np.median(values)) for trial, values in times.items()}
