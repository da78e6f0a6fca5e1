"""How long a frame takes on this machine: torch, onnxruntime and C, one thread each, in turns."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from data import RATE
from data.errors import InputError
from model.c_source import c_compiler
from model.c_student import CStudent
from model.ftjnf import FTJNF, REFERENCE
from model.proof import onnx_session
from model.stft import BINS, HOP

HOP_MS = 1000 * HOP / RATE
NATIVE: tuple[str, ...] = ("-O3", "-march=native", "-ffp-contract=fast")
"""The fastest build for this machine. `-std=c99` alone keeps products and sums apart."""
if platform.machine() == "x86_64":
    NATIVE += ("-mprefer-vector-width=512",)  # gcc takes half of what the processor has
C_FLAGS: Mapping[str, Sequence[str]] = {"c": NATIVE}
"""The builds of the C program that a student's page tells of."""
C_PORTABLE = "c_portable", ("-O3",)
"""What is taken where the compiler knows none of them: not each has `-march=native`."""
Frame = Callable[[NDArray[np.float32]], object]


def torch_frame(net: FTJNF) -> Frame:
    """The network as a stream: one frame (M, K, 2) a call."""
    state = None

    @torch.inference_mode()
    def run(frame: NDArray[np.float32]) -> object:
        nonlocal state
        noisy = torch.view_as_complex(torch.from_numpy(frame))[None, ..., None]
        activations = net(noisy, state)
        state = activations.state
        return activations.mask * noisy[:, REFERENCE]

    return run


def onnx_frame(path: Path) -> Frame:
    """An exported student by onnxruntime."""
    session = onnx_session(path)
    shape = next(node.shape for node in session.get_inputs() if node.name == "h")
    h = c = np.zeros(shape, np.float32)

    def run(frame: NDArray[np.float32]) -> object:
        nonlocal h, c
        enhanced, h, c = session.run(["enhanced", "h_out", "c_out"], {"noisy": frame[None], "h": h, "c": c})
        return enhanced

    return run


def engines(net: FTJNF, folder: Path, c_flags: Mapping[str, Sequence[str]] = C_FLAGS) -> dict[str, Frame]:
    """What can run the student of a folder here, by name: `torch`, `onnx`, `int8` if it is there, builds of the C.

    A build that the compiler here cannot make is left out; where that is true of all, `C_PORTABLE` is tried.
    """
    found = {"torch": torch_frame(net), "onnx": onnx_frame(folder / "student.onnx")}
    if (folder / "student.int8.onnx").is_file():
        found["int8"] = onnx_frame(folder / "student.int8.onnx")
    if c_compiler() is not None:
        found |= _c_frames(net, folder, c_flags) or _c_frames(net, folder, dict([C_PORTABLE]))
    return found


def _c_frames(net: FTJNF, folder: Path, c_flags: Mapping[str, Sequence[str]]) -> dict[str, Frame]:
    found: dict[str, Frame] = {}
    for name, flags in c_flags.items():
        with suppress(InputError):
            found[name] = CStudent(folder, net.size, flags).frame
    return found


def frame_times(
    runs: Mapping[str, Frame], frames: NDArray[np.float32], rounds: int = 3, warm_up: int = 5
) -> dict[str, NDArray[np.float64]]:
    """Milliseconds of each frame, (rounds * L,) by name; torch with one thread meanwhile.

    Args:
        runs: what is timed, see `engines`.
        frames: (L, M, K, 2).
        rounds: how often each has its turn with all frames.
        warm_up: frames before, not timed.
    """
    assert frames.shape[2:] == (BINS, 2)
    times: dict[str, list[float]] = {name: [] for name in runs}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for run in runs.values():
            for frame in frames[:warm_up]:
                run(frame)
        for _ in range(rounds):
            for name, run in runs.items():
                for frame in frames:
                    started = time.perf_counter()
                    run(frame)
                    times[name].append(1000 * (time.perf_counter() - started))
    finally:
        torch.set_num_threads(threads)
    return {name: np.array(values) for name, values in times.items()}


def summary(times: Mapping[str, NDArray[np.float64]]) -> dict[str, Any]:
    """Median and 99th percentile in milliseconds, and the median as a share of the hop; with the machine's name."""
    figures = {
        name: {
            "p50_ms": float(np.percentile(values, 50)),
            "p99_ms": float(np.percentile(values, 99)),
            "share_of_hop": float(np.percentile(values, 50)) / HOP_MS,
        }
        for name, values in times.items()
    }
    return {"cpu": processor(), "threads": 1, "frames": len(next(iter(times.values()), ())), "engines": figures}


def processor() -> str:
    """The name of this machine's processor."""
    with suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return platform.processor() or platform.machine()
