"""What all benchmarks share: their flags, and how they tell what they found."""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from data.flags import CommandParser


def benchmark_parser(description: str | None) -> argparse.ArgumentParser:
    """A parser with the flags of every benchmark: `--json`, `--repeats`, `--threads`."""
    parser = CommandParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    parser.add_argument("--repeats", type=int, default=5, help="repetitions; medians are told (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="torch threads (default: %(default)s)")
    return parser


def in_turns(ways: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Wall seconds of several ways, each called once a repetition, after one repetition to warm up.

    Taken in turns, so that what disturbs the machine for a while disturbs all of them.
    """
    times: dict[str, list[float]] = {name: [] for name in ways}
    for repetition in range(repeats + 1):
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            if repetition > 0:
                times[name].append(time.perf_counter() - started)
    return times


def finish(arguments: argparse.Namespace, what: str, ratios: Mapping[str, float], more: Mapping[str, Any]) -> None:
    """Prints what was found.

    Args:
        arguments: of `benchmark_parser`.
        what: one line on what the ratios are.
        ratios: the numbers that count, by name.
        more: what they were computed from, and under which conditions.
    """
    if arguments.json:
        machine = {"processor": processor(), "threads": torch.get_num_threads(), "torch": torch.__version__}
        if torch.cuda.is_available():
            machine["card"] = torch.cuda.get_device_name()
        print(json.dumps({"ratios": dict(ratios), "what": what, "machine": machine, "more": dict(more)}, indent=2))
        return
    print(what)
    width = max(map(len, ratios), default=0)
    for name, ratio in ratios.items():
        print(f"  {name:{width}}  {ratio:.4g}")
    for name, value in more.items():
        print(f"  {name}: {value}")


def processor() -> str:
    """The processor's name, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    found = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
    return found or platform.processor() or platform.machine()
