"""What the benchmarks share: timings in turns, medians, ratios, and how they are printed."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from data.files import plain
from data.flags import CommandParser

Work = Callable[[], object]


@dataclass(frozen=True)
class Report:
    """What one benchmark found.

    Args:
        benchmark: its name.
        ratios: by name; each compares medians of the same run.
        baselines: what each ratio compares with, in words.
        seconds: of every repetition, by what was done.
        settings: what was measured: sizes, lengths, counts.
    """

    benchmark: str
    ratios: dict[str, float]
    baselines: dict[str, str]
    seconds: dict[str, list[float]]
    settings: dict[str, Any] = field(default_factory=dict)


def in_turns(
    works: Mapping[str, Work], repetitions: int, clock: Callable[[], float] = time.perf_counter, warm_up: int = 1
) -> dict[str, list[float]]:
    """Seconds of each work, (repetitions,) by name.

    The works take turns, so that a machine that becomes slower meanwhile becomes so for all of them.

    Args:
        works: what is timed. Work on a GPU must wait for its end itself (`torch.cuda.synchronize`).
        repetitions: timed rounds.
        clock: `time.perf_counter`, or `time.process_time` for the seconds of all cores together, which other programs
            on the machine disturb less.
        warm_up: rounds before, not timed.
    """
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for round_ in range(warm_up + repetitions):
        for name, work in works.items():
            started = clock()
            work()
            if round_ >= warm_up:
                seconds[name].append(clock() - started)
    return seconds


def ratio(over: Sequence[float], under: Sequence[float]) -> float:
    """The median of the first by the median of the second."""
    return statistics.median(over) / statistics.median(under)


@contextlib.contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Torch computes with so many threads meanwhile."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def machine() -> dict[str, Any]:
    """Where and when it was measured."""
    cpu = platform.processor() or platform.machine()
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        cpu = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    versions = {"python": platform.python_version(), "torch": torch.__version__}
    return {"cpu": cpu, "cores": os.cpu_count(), "gpu": gpu, **versions, "date": time.strftime("%Y-%m-%d")}


def parser(description: str | None, repetitions: int = 5) -> argparse.ArgumentParser:
    """The flags that every benchmark has: `--repetitions` and `--json`."""
    made = CommandParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--repetitions", type=int, default=repetitions, help="timed rounds (default: %(default)s)")
    made.add_argument("--json", action="store_true", help="print one JSON object; its `ratios` maps names to numbers")
    return made


def show(report: Report, *, as_json: bool) -> None:
    """Prints a report, for people or as one JSON object."""
    where = machine()
    if as_json:
        medians = {name: statistics.median(seconds) for name, seconds in report.seconds.items()}
        print(json.dumps(plain(asdict(report) | {"medians": medians, "machine": where}), indent=2))
        return
    print(f"{report.benchmark}: " + ", ".join(f"{key} {value}" for key, value in report.settings.items()))
    print(", ".join(f"{key} {value}" for key, value in where.items() if value is not None))
    for name, seconds in report.seconds.items():
        low, middle, high = min(seconds), statistics.median(seconds), max(seconds)
        print(f"  {name:26} {middle:10.4g} s  ({low:.4g} to {high:.4g}, {len(seconds)} times)")
    for name, value in report.ratios.items():
        print(f"  {name:26} {value:10.4g}    against {report.baselines[name]}")
