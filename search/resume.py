"""What may be said anew of a search that goes on; all else comes from its folder."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from data.errors import InputError
from data.files import read_json
from data.units import parse_duration
from search.config import NAME, SearchConfig
from search.proposal import Proposal
from search.stopping import Ended
from search.tracking_store import absolute_uri

ANEW = ("trials", "time_budget", "patience", "repeat_front", "keep_checkpoints")
"""What may be said anew for good."""

RESUMABLE = {"resume", "json", "dry_run", "address", "tracking_uri", "storage", *ANEW}
"""Flags that may stand beside --resume."""


def resumed_config(flags: argparse.Namespace) -> SearchConfig:
    """The configuration of a search that goes on, from its folder and from what the flags say anew.

    Raises:
        InputError: there is no such search, or a flag would make another search of it.
    """
    storage = Path(flags.storage or "runs").absolute()
    path = storage / flags.resume / "search.json"
    if NAME.fullmatch(flags.resume) is None or not path.is_file():
        raise InputError(
            f"there is no search to resume at {path.parent}; give the name of a folder in {storage}, or --storage"
        )
    config = SearchConfig.from_dict(read_json(path))
    given = {key for key, value in vars(flags).items() if value is not None} - RESUMABLE
    for key in sorted(given):
        value, stored = getattr(flags, key), getattr(config, {"init": "inits"}.get(key, key), None)
        if key in ("budget", "name", "seed", "sampler") and value == stored:
            continue
        raise InputError(
            f"--{key.replace('_', '-')} {value} cannot be given with --resume: the configuration of {flags.resume} "
            "comes from its folder; leave the flag out, or start a new search with --name"
        )
    # the folder may have been moved or renamed since
    config = replace(config, name=flags.resume, storage=str(storage), address=flags.address or config.address)
    anew: dict[str, Any] = {key: value for key in ANEW if (value := getattr(flags, key)) is not None}
    if flags.time_budget is not None:
        anew["time_budget"] = parse_duration(flags.time_budget)
    if flags.tracking_uri is not None:  # a tracking server may be gone for good
        anew["tracking_uri"] = absolute_uri(flags.tracking_uri)
    return replace(config, **anew)


def more_of(ended: Ended) -> str:
    """What goes on with a search that has come to its end, in words.

    Args:
        ended: what ended it.
    """
    if ended == "all tried":
        return "It has tried all that it may: a new search with more sizes, methods or a larger --budget tries more."
    patience = ", or a longer --patience," if ended == "patience" else ""
    return f"--trials with a larger number{patience} goes on with it."


def check_trials(config: SearchConfig, students: list[Proposal]) -> None:
    """Whether a search may still be given so many students.

    Args:
        config: of the search that goes on.
        students: those of the search proper that it has begun.

    Raises:
        InputError: it has begun more than that.
    """
    begun = sum(one.state != "FAIL" for one in students)
    if config.trials < begun:
        raise InputError(
            f"--trials {config.trials} is fewer than the {begun} students that {config.name} has begun already; give "
            f"at least {begun}, or leave the flag out"
        )
