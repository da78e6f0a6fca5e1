"""What a teacher's training was asked for when it began, and the epochs decided then: a resumed one is the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from data.errors import InputError
from data.files import read_json, write_json

SHOWN = 3
"""Differences that a complaint names."""


def write_plan(state: Path, asked: Mapping[str, Any], epochs: int) -> None:
    """Writes what was asked for and decided into the folder of a training's state."""
    write_json(state / "plan.json", {"epochs": epochs, "asked": asked})


def decided_epochs(state: Path, asked: Mapping[str, Any]) -> int | None:
    """The epochs decided when the training in a folder began.

    Args:
        state: the folder of a training's state.
        asked: what is asked for now, as JSON-serialisable values.

    Returns:
        None where no training has got as far as a checkpoint: then they are to be decided anew.

    Raises:
        InputError: that training was asked for something else; names what differs.
    """
    path = state / "plan.json"
    if not path.exists() or not (state / "last.pt").exists():
        return None
    plan = read_json(path)
    try:
        epochs, then = int(plan["epochs"]), _flat(plan["asked"])
    except (AttributeError, KeyError, TypeError, ValueError):
        raise InputError(f"{path} is not whole, or of another version; delete {state} to train anew") from None
    now = _flat(json.loads(json.dumps(asked)))
    differ = [name for name in then | now if then.get(name) != now.get(name)]
    if differ:
        shown = [f"{name} {_told(then.get(name))} instead of {_told(now.get(name))}" for name in differ[:SHOWN]]
        more = f" and {len(differ) - SHOWN} more differences" if len(differ) > SHOWN else ""
        raise InputError(
            f"{state} holds a training with {', '.join(shown)}{more}; pass the same flags as then, choose another "
            "--out, or delete that folder to train anew"
        )
    return epochs


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested dicts as one, its keys joined by dots."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
    return flat


def _told(value: Any) -> str:
    return "none" if value is None else str(value)
