"""The command-line flags that say what a run learns from; shared by the teacher's command and the search's."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from data.errors import InputError
from data.plan import DataPlan


class CommandParser(argparse.ArgumentParser):
    """A parser whose complaints are one sentence, as those of all bad input are."""

    def error(self, message: str) -> NoReturn:
        """Raises InputError instead of printing the usage."""
        raise InputError(f"{message}; --help lists the flags")


def with_budget(words: Sequence[str]) -> list[str]:
    """A command line with `--budget` and its value in one word.

    Else argparse takes `-1GMAC` for a flag, and the complaint misses the point.
    """
    joined = list(words)
    for i, word in enumerate(joined[:-1]):
        if word == "--budget":
            joined[i : i + 2] = [f"--budget={joined[i + 1]}"]
            break
    return joined


def add_data_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags that say what a run learns from; shared by the teacher's command and the search's."""
    group = parser.add_argument_group("data (none of the three folders: the demo corpus, made on first use)")
    group.add_argument(
        "--speech", type=Path, metavar="DIR", help="Common Voice language folder, or any folder of speech"
    )
    group.add_argument("--noise", type=Path, metavar="DIR", help="folder of noise recordings (DNS challenge or any)")
    group.add_argument("--rirs", type=Path, metavar="DIR", help="SLR26 simulated_rirs_16k, or any folder of responses")
    group.add_argument("--array", metavar="NAME|FILE", help="cross (default), line, or a JSON list of [x, y, z] in m")
    group.add_argument("--hours", metavar="H,H,H", help="most hours of speech for training, validation and test")
    group.add_argument("--train-clips", type=int, metavar="N", help="training examples an epoch")
    group.add_argument("--val-clips", type=int, metavar="N", help="examples of the validation losses")
    group.add_argument("--score-clips", type=int, metavar="N", help="validation clips scored with PESQ, each at 5 SNRs")
    group.add_argument("--test-clips", type=int, metavar="N", help="test clips scored with PESQ, each at 5 SNRs")
    group.add_argument("--clip-seconds", type=float, metavar="S", help="length of the training crops")
    group.add_argument("--remix", action=argparse.BooleanOptionalAction, help="draw fresh scenes in every epoch")


def data_plan(arguments: argparse.Namespace, base: DataPlan) -> DataPlan:
    """`base` with what the flags of `add_data_arguments` say instead.

    Raises:
        InputError: a folder missing of the three, or a value out of range.
    """
    names = ("speech", "noise", "rirs", "array", "train_clips", "val_clips", "score_clips", "test_clips",
             "clip_seconds", "remix")  # fmt: skip
    given = {name: value for name in names if (value := getattr(arguments, name)) is not None}
    if arguments.hours is not None:
        given["hours"] = parse_hours(arguments.hours)
    return replace(base, seed=arguments.seed, **given)


def parse_hours(text: str) -> tuple[float, float, float]:
    """Reads `38,4.8,1.2`; a single number is for training, with an eighth of it for validation and a 32nd for test.

    Raises:
        InputError: not one or three positive numbers.
    """
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) == 1:
        values = [values[0], values[0] / 8, values[0] / 32]
    if len(values) != 3 or not all(math.isfinite(value) and value > 0 for value in values):
        raise InputError(f"--hours {text!r} is not understood; write hours for training, validation, test: 38,4.8,1.2")
    return values[0], values[1], values[2]
