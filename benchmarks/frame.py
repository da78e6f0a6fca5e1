"""What a frame of 16 ms takes on this machine: torch streaming, onnxruntime in fp32 and int8, C; one thread each.

    python benchmarks/frame.py [--sizes I,E,C] [--json]

Baseline of `speedup_ENGINE_SIZE`: the network as a stream in torch, in turns with the others. `share_ENGINE_SIZE` is
the median time by the 16 ms of a hop: below 1 is faster than real time, and 0.02 is the target for sizes up to E. The C
program is built by -O2 and -O3 for any processor of this kind, and by -O3 for this one.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
import torch

from benchmarks.measure import Report, parser, ratio, show
from data.errors import run_command
from model.c_source import c_compiler, write_c
from model.export import export_onnx
from model.frame_time import HOP_MS, NATIVE, engines, frame_times
from model.ftjnf import FTJNF, Size
from model.proof import probe_frames
from model.quantise import quantise

BUILDS = {"c_o2": ("-O2",), "c_o3": ("-O3",), "c_native": NATIVE}


def main() -> None:
    """The command line."""
    flags = parser(__doc__, repetitions=9)
    flags.add_argument("--sizes", default="I,E,C", help="rows of Table 1 or F/T (default: %(default)s)")
    flags.add_argument("--frames", type=int, default=100, help="frames a repetition (default: %(default)s)")
    arguments = flags.parse_args()
    seconds: dict[str, list[float]] = {}
    ratios: dict[str, float] = {}
    baselines: dict[str, str] = {}
    for name in arguments.sizes.split(","):
        for engine, times in one_size(Size.parse(name), arguments.frames, arguments.repetitions).items():
            seconds[f"{engine} {name}"] = times
            ratios[f"share_{engine}_{name}"] = float(np.median(times)) * 1000 / HOP_MS
            baselines[f"share_{engine}_{name}"] = "the hop of 16 ms"
            if engine != "torch":
                ratios[f"speedup_{engine}_{name}"] = ratio(seconds[f"torch {name}"], times)
                baselines[f"speedup_{engine}_{name}"] = "torch streaming"
    settings = {"frames": arguments.frames, "c_compiler": c_compiler(), "load": round(os.getloadavg()[0], 1)}
    show(Report("frame", ratios, baselines, seconds, settings), as_json=arguments.json)


def one_size(size: Size, frames: int, repetitions: int) -> dict[str, list[float]]:
    """Median seconds of a frame in each repetition, by engine. Untrained weights: they take as long as others."""
    torch.manual_seed(0)
    net = FTJNF(size).eval()
    probe = probe_frames(size.microphones, frames)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        export_onnx(net, folder / "student.onnx")
        quantise(folder / "student.onnx", folder / "student.int8.onnx")
        write_c(net, folder)
        runs = engines(net, folder, BUILDS)
        times: dict[str, list[float]] = {name: [] for name in runs}
        for _ in range(repetitions):
            for name, values in frame_times(runs, probe, rounds=1).items():
                times[name].append(float(np.median(values)) / 1000)
    return times


if __name__ == "__main__":
    run_command(main)
