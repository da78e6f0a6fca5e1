"""Eq. 7 exactly: its time over that of its matrix products alone, its memory, its gradient, and what sampling trades.

    python benchmarks/gram.py [--cells 16384] [--json]

Baselines, measured in turns with it: the products of the same tiles alone (one of inner size Ct + Cs for the two
Gram matrices, two of Cs for the gradient of rows and columns, upper triangle only); the dense form, where it fits, for
the gradient. On CUDA also the card's ceiling for matrix products of 8192 x 8192.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.measure import Report, in_turns, ratio, show
from benchmarks.measure import parser as benchmark_parser
from data.errors import run_command
from model.allocator import keep_freed_memory
from model.gram import Gram, draw_positions, gram_loss, tile_side, tiles
from model.precision import choose_device

CLIP = (257, 250)
"""Bins and frames of a 4 s clip."""
DENSE = 2048
"""Rows of the dense form that the gradient is compared with: 16 MB a matrix."""
POSITIONS = (256, 512, 1024, 2048, 4096)


def main() -> None:
    """The command line."""
    parser = benchmark_parser(__doc__)
    parser.add_argument("--threads", type=int, default=1, help="torch threads (default: %(default)s)")
    parser.add_argument("--cells", type=int, default=16_384, help="rows N for the time (default: %(default)s)")
    parser.add_argument("--teacher", type=int, default=128, help="Ct, units of the teacher (default: %(default)s)")
    parser.add_argument("--student", type=int, default=32, help="Cs, units of the student (default: %(default)s)")
    parser.add_argument(
        "--clip-cells", type=int, default=CLIP[0] * CLIP[1], help="rows N for the memory (default: %(default)s, of 4 s)"
    )
    parser.add_argument("--device", default="auto")
    parser.add_argument("--memory-of", type=int, help="only print the MiB that one value and gradient of N rows adds")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    device = choose_device(arguments.device)
    if arguments.memory_of is not None:
        print(extra_mib(*activations(arguments.memory_of, arguments.teacher, arguments.student, device)))
        return
    keep_freed_memory()
    shape = ["--teacher", str(arguments.teacher), "--student", str(arguments.student), "--device", str(device)]
    shape += ["--threads", str(arguments.threads), "--memory-of", str(arguments.clip_cells)]
    child = [sys.executable, __file__, *shape]
    extra = float(subprocess.run(child, check=True, capture_output=True, text=True).stdout)
    teacher, student = activations(arguments.cells, arguments.teacher, arguments.student, device)
    times = in_turns(
        {
            "value and gradient": lambda: waited(lambda: value_and_gradient(teacher, student), device),
            "products alone": lambda: waited(lambda: products_alone(teacher, student), device),
        },
        arguments.repetitions,
    )
    ours = statistics.median(times["value and gradient"])
    ratios = {
        "over_gemms": ratio(times["value and gradient"], times["products alone"]),
        "extra_mib": extra,
        "max_relative_gradient_error": gradient_error(arguments.teacher, arguments.student, device),
    }
    baselines = {
        "over_gemms": "the matrix products of the same tiles alone",
        "extra_mib": f"arguments and gradient, for {arguments.clip_cells} rows",
        "max_relative_gradient_error": f"the dense form in float64, {DENSE} rows",
    }
    macs: float = arguments.cells**2 / 2 * (arguments.teacher + 3 * arguments.student)
    settings: dict[str, Any] = {
        "cells": arguments.cells, "teacher": arguments.teacher, "student": arguments.student, "device": str(device),
        "torch_threads": arguments.threads, "gflops": 2e-9 * macs / ours,
        "spread_of_estimates": spread(arguments.teacher, arguments.student, device),
    }  # fmt: skip
    if device.type == "cuda":
        settings["ceiling_gflops"] = ceiling(device)
        ratios["of_ceiling"] = settings["gflops"] / settings["ceiling_gflops"]
        baselines["of_ceiling"] = "a product of 8192 x 8192 in float32"
    show(Report("gram", ratios, baselines, times, settings), as_json=arguments.json)


def activations(cells: int, teacher: int, student: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """(1, 1, N, C) activations as LSTMs give them: bounded, correlated from unit to unit and from row to row."""
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(cells, 12, generator=generator)
    hidden = 0.7 * hidden + 0.7 * hidden.roll(1, 0)

    def layer(units: int) -> Tensor:
        return torch.tanh(hidden @ torch.randn(12, units, generator=generator) / 4)[None, None]

    return layer(teacher).to(device), layer(student).to(device)


def value_and_gradient(teacher: Tensor, student: Tensor) -> tuple[Tensor, Tensor]:
    """The exact form."""
    student = student.detach().requires_grad_()
    loss = gram_loss(teacher, student, Gram("exact"))
    (gradient,) = torch.autograd.grad(loss, student)
    return loss.detach(), gradient


def products_alone(teacher: Tensor, student: Tensor) -> None:
    """The matrix products of the same tiles, into memory that is there already."""
    both = torch.cat((teacher, student), dim=-1)[0, 0]
    small = student[0, 0]
    side = tile_side(student)
    tile = torch.empty(side, side, device=student.device)
    gradient = torch.zeros_like(small)
    for _, rows, columns in tiles(student[0]):
        part = tile[: len(small[rows]), : len(small[columns])]
        torch.mm(both[rows], both[columns].T, out=part)
        gradient[rows].addmm_(part, small[columns])
        gradient[columns].addmm_(part.T, small[rows])


def waited(what: Callable[[], object], device: torch.device) -> None:
    """Does it, and waits until a card has done it."""
    what()
    if device.type == "cuda":
        torch.cuda.synchronize()


def extra_mib(teacher: Tensor, student: Tensor) -> float:
    """Memory that value and gradient take at most, beside their arguments and the gradient, in MiB."""
    small = student[:, :, :64]
    value_and_gradient(teacher[:, :, :64], small)  # what is loaded on first use is not counted
    gradient = student.numel() * student.element_size() / 2**20
    if student.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        held = torch.cuda.memory_allocated()
        value_and_gradient(teacher, student)
        return (torch.cuda.max_memory_allocated() - held) / 2**20 - gradient
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew: making the activations took more
    before = memory_mib("VmRSS")
    value_and_gradient(teacher, student)
    return memory_mib("VmHWM") - before - gradient


def memory_mib(field: str) -> float:
    """A line of Linux's account of this process."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(field)) / 1024


def gradient_error(teacher_units: int, student_units: int, device: torch.device) -> float:
    """Largest difference to the dense form's gradient, over the largest entry of that gradient (in float64)."""
    teacher, student = activations(DENSE, teacher_units, student_units, device)
    _, gradient = value_and_gradient(teacher, student)
    exact = student.double().requires_grad_()
    wide = teacher.double()[0, 0]
    ((wide @ wide.T - exact[0, 0] @ exact[0, 0].T).abs().mean()).backward()
    assert exact.grad is not None
    return float((gradient.double() - exact.grad).abs().max() / exact.grad.abs().max())


def spread(teacher_units: int, student_units: int, device: torch.device, draws: int = 20) -> dict[str, float]:
    """Standard deviation of the estimate from P random positions, relative to the exact value, by P."""
    teacher, student = activations(DENSE * 4, teacher_units, student_units, device)
    exact = float(gram_loss(teacher, student, Gram("exact")))
    found = {}
    for count in POSITIONS:
        gram = Gram("positions", positions=count)
        values = [
            float(gram_loss(teacher, student, gram, draw_positions(DENSE * 4, count, 1, seed).to(device)))
            for seed in range(draws)
        ]
        found[str(count)] = statistics.stdev(values) / exact
    return found


def ceiling(device: torch.device) -> float:
    """GFLOP/s of a large matrix product in the precision that the loss runs in."""
    square = torch.randn(8192, 8192, device=device)
    times = in_turns({"product": lambda: waited(lambda: square @ square, device)}, 10)
    return 2e-9 * 8192**3 / min(times["product"])


if __name__ == "__main__":
    run_command(main)
