"""What a training step with KD costs, in steps without: with the teacher's targets from the cache, and naively.

    python benchmarks/kd_step.py [--size E] [--teacher A] [--json]

Baseline: the same student's step with the method none, measured in turns with the others. A step is all of it: reading
examples and targets, STFT, forward, losses, backward, Adam. `naive` runs the teacher's forward in every step, as a
training loop does that keeps no targets.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch

from benchmarks.measure import Report, show
from benchmarks.measure import parser as benchmark_parser
from benchmarks.synthetic import noise_examples
from data.errors import run_command
from model.allocator import keep_freed_memory
from model.distill import METHODS
from model.ftjnf import FTJNF, Size
from model.gram import Gram
from model.precision import choose_device, choose_precision
from model.target_plan import layers_of
from model.targets import Teacher, TeacherBeside, build_targets
from model.train import Training
from model.train_config import TrainConfig

KD = [name for name in METHODS if METHODS[name].layers]


class StepsOnly(Training):
    """A training whose epochs are nothing but steps."""

    def _validate(self, *_: object) -> tuple[float, float]:
        return 0.0, 0.0

    def _save(self, *_: object) -> None:
        return


def main() -> None:
    """The command line."""
    parser = benchmark_parser(__doc__)
    parser.add_argument("--threads", type=int, default=1, help="torch threads (default: %(default)s)")
    parser.add_argument("--size", default="E", help="of the student (default: %(default)s)")
    parser.add_argument("--teacher", default="A", help="size of the teacher (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=4, help="examples a step (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=4.0, help="length of an example (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=3, help="steps a repetition (default: %(default)s)")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto")
    arguments = parser.parse_args()
    keep_freed_memory()
    torch.set_num_threads(arguments.threads)
    device = choose_device(arguments.device)
    precision = choose_precision(arguments.precision, device)
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder)
        examples = noise_examples(arguments.batch * arguments.steps, arguments.seconds, cache / "sets")
        torch.manual_seed(0)
        teacher = FTJNF(Size.parse(arguments.teacher)).to(device).eval()
        cached = build_targets(
            teacher, examples, layers_of(KD), Gram(), cache / "targets", seed=0, precision=precision, device=device
        )

        def steps(method: str, schedule: str, source: Teacher | None) -> Iterator[float]:
            """Seconds of a step, epoch after epoch."""
            config = TrainConfig(
                Size.parse(arguments.size), method, schedule, epochs=10_000, batch=arguments.batch, lr=1e-6,
                lr_schedule="cosine", precision=precision,
            )  # fmt: skip
            torch.manual_seed(1)
            net = FTJNF(config.size)
            place = cache / f"{method}-{schedule}-{type(source).__name__}"
            for record in StepsOnly(config, net, examples, examples, source, source, place, device):
                yield record.seconds / arguments.steps

        runs = {"none": steps("none", "two-stage", None)}
        for method in KD:
            own = cached.only(layers_of([method]))
            runs[f"kd_step_over_plain_{method}"] = steps(method, "constant", own)
            runs[f"soft_step_over_plain_{method}"] = steps(method, "two-stage", own)
        beside = TeacherBeside(teacher, layers_of(KD), Gram(), 0, precision)
        runs["naive_step_over_plain_multi"] = steps("multi", "constant", beside)
        times: dict[str, list[float]] = {name: [] for name in runs}
        for repetition in range(arguments.repetitions + 1):
            for name, run in runs.items():
                seconds = next(run)
                if repetition > 0:  # the first warms up
                    times[name].append(seconds)
    plain = times["none"]
    ratios = {
        name: statistics.median(a / b for a, b in zip(values, plain, strict=True))
        for name, values in times.items()
        if name != "none"
    }
    ratios["kd_step_over_plain"] = max(value for name, value in ratios.items() if name.startswith("kd_step"))
    settings = {
        "student": arguments.size, "teacher": arguments.teacher, "precision": precision, "device": str(device),
        "batch": arguments.batch, "seconds": arguments.seconds, "torch_threads": arguments.threads,
    }  # fmt: skip
    baselines = dict.fromkeys(ratios, "the same student's step with the method none")
    show(Report("kd_step", ratios, baselines, times, settings), as_json=arguments.json)


if __name__ == "__main__":
    run_command(main)
