"""The search's teacher: the packaged one, the user's, one trained first and kept, or none."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from data.array import ARRAYS, Array
from data.errors import InputError
from data.files import text_digest, write_atomic
from data.plan import Sets
from data.units import duration
from model.ftjnf import FTJNF, Size
from model.macs import cell_macs
from model.pace import epoch_seconds, time_step
from model.targets import network_digest
from model.teacher import PACKAGED, TeacherRecipe, train_teacher
from model.train_config import TrainConfig
from model.weights import load_network
from search.config import SearchConfig

FEWEST_EPOCHS = 5
"""A teacher trained for fewer teaches nothing worth a student's time."""
ENOUGH_TIMES = 8
"""Times the largest student's MACs below which a search says that its teacher is small: the paper's size A has 31
times those of E and 41 times those of F."""


@dataclass(frozen=True)
class SearchTeacher:
    """A teacher and where its weights lie."""

    net: FTJNF
    path: Path

    @property
    def name(self) -> str:
        """For figures and tables."""
        return f"teacher {self.net.size}"

    @property
    def digest(self) -> str:
        """Of size and weights."""
        return network_digest(self.net)


def is_wanted(config: SearchConfig) -> bool:
    """Whether the search uses a teacher; with `--teacher none` it has neither KD nor slices.

    Raises:
        InputError: `--teacher none` beside methods or starts that need one.
    """
    if config.teacher != "none":
        return True
    if set(config.methods) != {"none"} or set(config.inits) != {"random"}:
        raise InputError(
            "--teacher none leaves no teacher to learn from or to be cut from; "
            "add --methods none --init random, or give a teacher"
        )
    return False


def given_teacher(config: SearchConfig, microphones: int) -> SearchTeacher | None:
    """The teacher that needs no training: the user's file or, for the demo corpus, the packaged one; else None.

    The packaged one serves its own array alone: what it hears on another is not what it learned to enhance.

    Raises:
        InputError: a file that cannot be used, or a teacher for another array.
    """
    array = Array.parse(config.data.array)
    if config.teacher not in (None, "none"):
        path = Path(str(config.teacher))
        net, recipe = load_network(path, microphones)
        other = _other_array(recipe, array)
        if other is not None:
            raise InputError(
                f"{path} was trained on the array {other}, not on {config.data.array} (their microphones stand at "
                "different places); pass --array with that one, or train a teacher on this array"
            )
    elif config.data.demo and config.teacher is None and config.teacher_size is None and PACKAGED.exists():
        path = PACKAGED
        net, recipe = load_network(path)
        if net.size.microphones != microphones or _other_array(recipe, array) is not None:
            return None
    else:
        return None
    return SearchTeacher(net, path.absolute())


def _other_array(recipe: dict[str, Any], array: Array) -> str | None:
    """The name of the array that a teacher was trained on if it is another; None also where its recipe tells none."""
    name = str((recipe.get("data") or {}).get("array", array.name))
    if "array" in recipe:
        trained = Array(name, recipe["array"]["positions_m"])
    elif name in ARRAYS:  # an older recipe has the name alone, or the file's
        trained = Array(name, ARRAYS[name])
    else:
        return None if Path(name).stem == array.name else name
    return None if trained.is_same(array) else name


def teacher_to_train(config: SearchConfig, microphones: int, device: torch.device) -> tuple[Size, float | None]:
    """Size of a teacher trained first, and seconds for its training (None: no limit).

    Raises:
        InputError: no such size, or more than a third of the time budget.
    """
    size = Size.parse(config.teacher_size or ("A" if device.type == "cuda" else "C"), microphones)
    if config.time_budget is None:
        return size, config.teacher_time
    third = config.time_budget / 3
    if config.teacher_time is not None and config.teacher_time > third:
        raise InputError(
            f"--teacher-time {duration(config.teacher_time)} is more than a third of --time-budget "
            f"{duration(config.time_budget)}; shorten it to {duration(third)}, raise --time-budget to "
            f"{duration(3 * config.teacher_time)}, or train the teacher before with `python -m model.teacher train` "
            "and pass --teacher FILE"
        )
    return size, config.teacher_time or third


def check_starts(config: SearchConfig, sizes: Sequence[Size], teacher: Size) -> None:
    """Whether students can be cut out of a teacher.

    Raises:
        InputError: a size whose F-LSTM runs in other directions than the teacher's.
    """
    other = next((size for size in sizes if size.bi_freq != teacher.bi_freq), None)
    if "slice" in config.inits and other is not None:
        raise InputError(
            f"a student {other} cannot be a slice of a teacher {teacher}, as only one of them runs over frequency in "
            "both directions; pass --init random, other --sizes, or a teacher of that kind"
        )


def _teacher_training(config: SearchConfig, size: Size) -> TrainConfig:
    return TrainConfig(
        size, epochs=100, batch=config.train.batch, lr=config.train.lr, lr_schedule=config.train.lr_schedule,
        clip_norm=config.train.clip_norm, precision=config.train.precision, seed=config.seed,
    )  # fmt: skip


def _recipe(config: SearchConfig, train: TrainConfig, sets: Sets) -> TeacherRecipe:
    return TeacherRecipe(config.data, train, sets=sets.digests)


def kept_at(config: SearchConfig, size: Size, seconds: float | None, sets: Sets, cache: Path) -> Path:
    """Where a teacher lies once it is trained: the same for all searches with the same examples and settings."""
    key = {"recipe": _recipe(config, _teacher_training(config, size), sets).to_dict(), "seconds": seconds}
    return cache / "teachers" / f"{size.f_hidden}-{size.t_hidden}-{text_digest(key)}.safetensors"


def trained_teacher(
    config: SearchConfig, microphones: int, sets: Sets, cache: Path, device: torch.device, tell: Callable[[str], None]
) -> SearchTeacher:
    """Trains a teacher on the search's own examples, or takes the one that an earlier search trained on the same.

    Raises:
        InputError: the time is too short for a teacher; says what to pass.
    """
    size, seconds = teacher_to_train(config, microphones, device)
    train, path = _teacher_training(config, size), kept_at(config, size, seconds, sets, cache)
    if path.exists():
        tell(f"teacher {size}: taken from an earlier search ({path})")
        return SearchTeacher(load_network(path, microphones)[0], path)
    step = time_step(size, sets.val, train.batch, train.precision, device)
    epoch = epoch_seconds(step, len(sets.train), len(sets.val), train.batch)
    if seconds is not None:
        fits = int(seconds / epoch)
        if fits < FEWEST_EPOCHS:
            raise InputError(
                f"a teacher of size {size} learns for {duration(epoch)} an epoch here, and {duration(seconds)} "
                f"for it are too few for {FEWEST_EPOCHS} epochs; pass --time-budget "
                f"{_minutes(3 * FEWEST_EPOCHS * epoch)}, a smaller --teacher-size, fewer --train-clips, or "
                "--teacher FILE"
            )
        train = replace(train, epochs=min(train.epochs, fits))
    tell(
        f"teacher {size}: no weights were given, so one is trained first; {train.epochs} epochs at most, "
        f"about {duration(epoch)} each, {duration(epoch * train.epochs)} at most"
    )
    decided = path.with_name(path.name + ".state") / "epochs"
    if decided.exists():  # the training of a search that was stopped: go on with what was decided then
        train = replace(train, epochs=int(decided.read_text()))
    else:
        write_atomic(decided, str(train.epochs))
    # what was measured before may not hold to the end
    deadline = None if seconds is None else time.monotonic() + 1.1 * seconds
    recipe = _recipe(config, train, sets)
    net = train_teacher(recipe, sets.train, sets.val, path, device, deadline=deadline, tell=tell)
    return SearchTeacher(net, path)


def too_small(teacher: FTJNF, largest: Size) -> str | None:
    """A warning if the teacher is hardly larger than the largest student, else None."""
    times = cell_macs(teacher.size) / cell_macs(largest)
    if times >= ENOUGH_TIMES:
        return None
    return (
        f"The teacher ({teacher.size}) has only {times:.1f} times the MACs of the largest student ({largest}): the "
        "nearer they are, the less KD has to give. The paper's teacher has 31 times those of its size E."
    )


def _minutes(seconds: float) -> str:
    return f"{int(seconds / 60) + 1}min"
