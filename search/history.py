"""The history of a student: `history.jsonl` in its folder, a line for every epoch that was told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from statistics import mean, median
from typing import Any

from model.train_config import TrainConfig


def read_history(path: Path) -> dict[int, dict[str, Any]]:
    """The lines by epoch, in the order of the epochs; empty where there is no file.

    A line that a crash has spoilt counts as never told; of two of the same epoch the later one holds, as a student that
    went on tells what it missed.
    """
    told: dict[int, dict[str, Any]] = {}
    for text in path.read_bytes().splitlines() if path.exists() else []:
        try:
            line = json.loads(text)
            told[int(line["epoch"])] = line
        except (ValueError, KeyError, TypeError):
            continue
    return dict(sorted(told.items()))


def share_left(told: Mapping[int, Mapping[str, Any]], config: TrainConfig) -> float:
    """The share of a training's time that is left, 1 before its first epoch; stages count by what their epochs took.

    Of a stage that has not begun an epoch is taken to be as long as those before.

    Args:
        told: the history, see `read_history`.
        config: of the training.
    """
    names = [stage.name for stage in config.stages]
    took: list[list[float]] = [[] for _ in names]
    for line in told.values():
        if line.get("stage") in names and line.get("epoch_seconds") is not None:
            took[names.index(line["stage"])].append(float(line["epoch_seconds"]))
    begun = [place for place, one in enumerate(took) if one]
    if not begun:
        return 1.0
    known = {place: median(took[place]) for place in begun}
    costs = [known.get(place, mean(known.values())) for place in range(len(names))]
    # a stage may have ended early, before the next one began
    left = [0 if i < begun[-1] else max(0, most - len(took[i])) for i, most in enumerate(config.stage_epochs)]
    whole = sum(most * cost for most, cost in zip(config.stage_epochs, costs, strict=True))
    return sum(most * cost for most, cost in zip(left, costs, strict=True)) / whole if whole > 0 else 1.0
