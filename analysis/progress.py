"""How a search came along: its hypervolume student by student, and the learning curves of students."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from analysis.front import hypervolume_share
from analysis.series import Lines, Record, is_number, score
from data.errors import InputError
from data.files import read_json

CURVES = ("loss_val_hard", "loss_val_soft", "loss_train_hard", "loss_train_soft", "pesq", "lr", "alpha")
"""What a learning curve shows of each epoch, where the epoch has it."""


def hypervolumes(
    folder: Path, records: Sequence[Record], lines: Lines, range_gmac: tuple[float, float] | None
) -> list[dict[str, Any]]:
    """The hypervolume after each student, in the order in which they finished.

    It is the dominated share of the plane of log10 GMAC, cheapest size to budget, and validation PESQ, unprocessed to
    teacher (1 PESQ above unprocessed without one).

    Args:
        folder: of the run.
        records: all students.
        lines: the scores beside them, and the budget.
        range_gmac: the ends of the plane's axis of cost; None takes the cheapest student and the budget.

    Returns:
        A dict with `trial` and `share` for each; empty where the plane is not known.
    """
    scored = [record for record in records if score(record, "validation") is not None]
    if range_gmac is None and scored and lines.budget_gmac is not None:
        range_gmac = (min(record["paper_gmac"] for record in scored), lines.budget_gmac)
    if not scored or range_gmac is None or lines.unprocessed is None:
        return []
    low = lines.unprocessed
    high = lines.teacher if lines.teacher is not None and lines.teacher > low else low + 1.0
    smallest, budget = (math.log10(end) for end in range_gmac)
    scored.sort(key=lambda record: (_ended(folder, record), record["trial"]))
    found = []
    for count in range(1, len(scored) + 1):
        cost = np.log10([record["paper_gmac"] for record in scored[:count]])
        pesq = [score(record, "validation") or math.nan for record in scored[:count]]
        share = hypervolume_share(cost, pesq, budget, low, smallest, high)
        if math.isfinite(share):
            found.append({"trial": scored[count - 1]["trial"], "share": share})
    return found


def _ended(folder: Path, record: Record) -> float:
    try:
        return float(read_json(folder / "students" / f"{record['trial']:04d}" / "timing.json")["ended"])
    except (InputError, KeyError, TypeError, ValueError):  # an earlier version's, or a part of a folder
        return math.inf


def learning_curve(student: Path) -> dict[str, Any]:
    """The epochs of a student, and where its stages begin.

    Args:
        student: its folder, with `history.jsonl`; lines that a crash has spoilt are left out.

    Returns:
        `epochs`: a dict of numbers for each epoch, keys of `CURVES` and `epoch`; `stages`: the first epoch and the name
        of each stage, in order; `best_epoch`, or None.
    """
    path = student / "history.jsonl"
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []
    by_epoch: dict[int, dict[str, Any]] = {}
    for line in lines:
        try:
            told = json.loads(line)
            by_epoch[int(told["epoch"])] = told
        except (ValueError, KeyError, TypeError):
            continue
    epochs: list[dict[str, Any]] = []
    stages: list[dict[str, Any]] = []
    for number, told in sorted(by_epoch.items()):
        if not stages or stages[-1]["name"] != told.get("stage"):
            stages.append({"first": number, "name": str(told.get("stage"))})
        epochs.append({"epoch": number} | {key: told[key] for key in CURVES if is_number(told.get(key))})
    try:
        best = read_json(student / "result.json").get("best_epoch")
    except (InputError, AttributeError):
        best = None
    return {"epochs": epochs, "stages": stages, "best_epoch": best}
