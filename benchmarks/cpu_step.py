"""What a training step takes as this project runs it on a processor, against a plain torch program.

    python benchmarks/cpu_step.py [--sizes I,E,C] [--json]

Baseline: the same step with nn.LSTM in fp32 and the C library's memory settings as they are, in a process of its own,
in turns with ours: products in bf16 where the processor has units for it, freed memory kept (`model.allocator`).
`gradient_error_SIZE` is the norm of the difference of the two gradients over the norm of the fp32 one.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time

import numpy as np
import torch

from benchmarks.measure import Report, show
from benchmarks.measure import parser as benchmark_parser
from benchmarks.synthetic import noise_source
from data.errors import run_command
from data.scene import render
from model.allocator import keep_freed_memory
from model.ftjnf import FTJNF, Size, apply_mask
from model.losses import hard_loss
from model.precision import arithmetic, choose_precision
from model.stft import stft

CPU = torch.device("cpu")


def main() -> None:
    """The command line."""
    parser = benchmark_parser(__doc__)
    parser.add_argument("--threads", type=int, default=1, help="torch threads (default: %(default)s)")
    parser.add_argument("--sizes", default="I,E,C", help="rows of Table 1 or F/T (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=4, help="examples a step (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=4.0, help="length of an example (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=3, help="steps a repetition (default: %(default)s)")
    parser.add_argument("--way", choices=("plain", "fp32", "ours"), help="only measure one way, in this process")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.way:
        print(json.dumps(one_way(arguments.way, arguments.sizes, arguments.batch, arguments.seconds, arguments.steps)))
        return
    names = arguments.sizes.split(",")
    found: dict[str, list[dict[str, list[float]]]] = {"plain": [], "fp32": [], "ours": []}
    for _ in range(arguments.repetitions):
        for way, results in found.items():
            command = [sys.executable, __file__, "--way", way]
            for flag in ("sizes", "batch", "seconds", "steps", "threads"):
                command += [f"--{flag}", str(getattr(arguments, flag))]
            results.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))

    def speedup(way: str, size: str, what: int) -> float:
        pairs = zip(found["plain"], found[way], strict=True)
        return statistics.median(plain[size][what] / ours[size][what] for plain, ours in pairs)

    ratios = {f"speedup_{size}": speedup("ours", size, 0) for size in names}
    ratios |= {f"speedup_by_allocator_{size}": speedup("fp32", size, 0) for size in names}
    ratios |= {f"speedup_of_processor_time_{size}": speedup("ours", size, 1) for size in names}
    ratios |= {f"gradient_error_{size}": gradient_error(Size.parse(size)) for size in names}
    settings = {
        "precision": choose_precision("auto", CPU), "batch": arguments.batch, "seconds": arguments.seconds,
        "torch_threads": arguments.threads,
    }  # fmt: skip
    baselines = {
        name: "the gradient in fp32" if "error" in name else "plain torch: fp32, the C library's memory settings"
        for name in ratios
    }
    times = {f"{way} {size}": [one[size][0] for one in results] for way, results in found.items() for size in names}
    show(Report("cpu_step", ratios, baselines, times, settings), as_json=arguments.json)


def one_way(way: str, sizes: str, batch: int, seconds: float, steps: int) -> dict[str, list[float]]:
    """Median wall and processor seconds of a step by size: `plain`, `fp32` (memory kept) or `ours`."""
    if way != "plain":
        keep_freed_memory()
    precision = choose_precision("auto", CPU) if way == "ours" else "fp32"
    noisy, clean = examples(batch, seconds)
    found = {}
    for name in sizes.split(","):
        torch.manual_seed(0)
        net = FTJNF(Size.parse(name))
        optimiser = torch.optim.Adam(net.parameters(), lr=1e-4)
        times = []
        for _ in range(steps + 1):
            started = time.perf_counter(), time.process_time()
            optimiser.zero_grad(set_to_none=True)
            loss(net, noisy, clean, precision).backward()
            optimiser.step()
            times.append((time.perf_counter() - started[0], time.process_time() - started[1]))
        found[name] = [statistics.median(column) for column in zip(*times[1:], strict=True)]
    return found


def examples(batch: int, seconds: float) -> tuple[torch.Tensor, torch.Tensor]:
    """(B, 5, N) noisy and (B, N) clean."""
    source = noise_source(seconds + 1)
    scenes = [source.draw(np.random.default_rng(i), i % 4, round(seconds * 16_000)) for i in range(batch)]
    return render(scenes)


def loss(net: FTJNF, noisy: torch.Tensor, clean: torch.Tensor, precision: str) -> torch.Tensor:
    """The hard loss of a batch."""
    spectrum = stft(noisy)
    with arithmetic(precision, CPU):
        output = net(spectrum)
    return hard_loss(apply_mask(output, spectrum, clean.shape[-1]), clean)


def gradient_error(size: Size) -> float:
    """Of the precision that is chosen here, against fp32."""
    noisy, clean = examples(2, 1.0)
    gradients = []
    for precision in ("fp32", choose_precision("auto", CPU)):
        torch.manual_seed(0)
        net = FTJNF(size)
        loss(net, noisy, clean, precision).backward()
        gradients.append(torch.cat([p.grad.flatten() for p in net.parameters() if p.grad is not None]))
    return float((gradients[1] - gradients[0]).norm() / gradients[0].norm())


if __name__ == "__main__":
    run_command(main)
