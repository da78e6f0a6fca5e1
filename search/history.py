"""The history of a student: `history.jsonl` in its folder, a line for every epoch that was told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


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
