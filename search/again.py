"""The command line that makes a search again: the inverse of `search.flags`."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from data.errors import InputError
from data.files import write_json
from search.config import SearchConfig
from search.flags import read_flags, search_config

Value = Callable[[SearchConfig], Any]
Space = dict[str, Any]

SPACE_FILE = "space.json"
"""What the command calls the space file, where it needs one."""

# flags that others take their defaults from come first, each with what it says of a search
_FIRST: tuple[tuple[str, Value], ...] = (
    ("--array", lambda one: one.data.array),
    ("--sampler", lambda one: one.sampler),
    ("--teacher", lambda one: one.teacher),
    ("--gpus-per-trial", lambda one: one.gpus_per_trial),
    ("--methods", lambda one: one.methods),
    ("--schedules", lambda one: one.schedules),
    ("--init", lambda one: one.inits),
    ("--sizes", lambda one: one.sizes),
)
_THEN: tuple[tuple[str, Value], ...] = (
    ("--trials", lambda one: one.trials),
    ("--warm-start", lambda one: one.warm_start),
    ("--priors", lambda one: one.priors),
    ("--halving", lambda one: None if one.halving is None else "on" if one.halving else "off"),
    ("--repeat-front", lambda one: one.repeat_front),
    ("--patience", lambda one: one.patience),
    ("--epochs", lambda one: one.train.epochs),
    ("--score-every", lambda one: one.score_every),
    ("--lr", lambda one: one.train.lr),
    ("--lr-schedule", lambda one: one.train.lr_schedule),
    ("--batch", lambda one: one.train.batch),
    ("--gram", lambda one: one.train.gram.form),
    ("--gram-normalise", lambda one: one.train.gram.normalise),
    ("--soft-scale", lambda one: one.train.soft_scale),
    ("--teacher-size", lambda one: one.teacher_size),
    ("--teacher-time", lambda one: None if one.teacher_time is None else f"{_plain(one.teacher_time)}s"),
    ("--time-budget", lambda one: None if one.time_budget is None else f"{_plain(one.time_budget)}s"),
    ("--cpus-per-trial", lambda one: one.cpus_per_trial),
    ("--cache-size", lambda one: f"{_plain(one.cache_size)}B"),
    ("--keep-checkpoints", lambda one: one.keep_checkpoints),
    ("--hours", lambda one: one.data.hours),
    ("--train-clips", lambda one: one.data.train_clips),
    ("--val-clips", lambda one: one.data.val_clips),
    ("--score-clips", lambda one: one.data.score_clips),
    ("--test-clips", lambda one: one.data.test_clips),
    ("--clip-seconds", lambda one: one.data.clip_seconds),
)


def words_again(config: SearchConfig) -> tuple[list[str], Space]:
    """The words after `search/run.py` that say a search, and what its space file has to hold.

    They say what differs from the preset. Where the search ran and where it was tracked (`--storage`, `--address`,
    `--tracking-uri`) they leave out.

    Args:
        config: as `search.flags.search_config` or `SearchConfig.from_dict` makes it.

    Returns:
        The words; and the content of `SPACE_FILE`, for what no flag can say, empty where none is needed.

    Raises:
        InputError: no words of this version say it, as another version wrote it.
    """
    # "auto" means something else on another machine
    words = ["--budget", config.budget, "--preset", config.preset, "--name", config.name]
    words += ["--precision", config.train.precision]
    if config.seed:
        words += ["--seed", str(config.seed)]
    for folder in ("speech", "noise", "rirs"):
        if getattr(config.data, folder) is not None:
            words += [f"--{folder}", str(getattr(config.data, folder))]
    space: Space = {}
    if config.repeats > 1:
        words += ["--repeats", str(config.repeats)]
    words += _differing(config, words, _FIRST)
    if config.data.remix != _said(words).data.remix:
        words.append("--remix" if config.data.remix else "--no-remix")
    varied = {one.name for one in config.dimensions}
    dropped = {one.name for one in _said(words).dimensions} - varied
    if "alpha" in dropped or config.train.alpha != _said(words).train.alpha:
        words += ["--alpha", str(config.train.alpha)]
    words += _differing(config, words, _THEN)
    for name in ("f_hidden", "t_hidden"):
        if getattr(config, name) is not None:
            space[name] = list(getattr(config, name))
    if config.bi_freq:
        space["bi_freq"] = True
    if config.dimensions != _said(words).dimensions:
        space |= {one.name: list(one.options) for one in config.dimensions}
    _check(config, words, space)
    return [*words, *(["--space", SPACE_FILE] if space else [])], space


def _check(config: SearchConfig, words: Sequence[str], space: Space) -> None:
    """Whether words and space file say this very search: what another version decided may have no words today.

    Raises:
        InputError: they say another one.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / SPACE_FILE
        write_json(path, space)
        found = _said([*words, "--space", str(path)] if space else words)
    found = replace(found, storage=config.storage, address=config.address, tracking_uri=config.tracking_uri)
    other = [one.name for one in fields(config) if getattr(found, one.name) != getattr(config, one.name)]
    if other:
        raise InputError(
            f"no command of this version makes {config.name} again: another version decided on its {', '.join(other)}; "
            "use that version, see `code` in its search.json"
        )


def _said(words: Sequence[str]) -> SearchConfig:
    return search_config(read_flags(words))


def _differing(config: SearchConfig, words: Sequence[str], flags: Sequence[tuple[str, Value]]) -> list[str]:
    """Those flags that say something else of the search than it would be without them."""
    before = _said(words)
    found = []
    for flag, value in flags:
        wanted = value(config)
        if wanted is not None and wanted != value(before):
            found += [flag, ",".join(map(str, wanted)) if isinstance(wanted, tuple) else str(wanted)]
    return found


def _plain(number: float) -> str:
    """A number without an exponent, which durations and sizes do not have."""
    return f"{number:.6f}".rstrip("0").rstrip(".")
