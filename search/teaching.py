"""The search's teacher: the packaged one, the user's, one trained first and kept, or none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from data.errors import InputError
from data.files import text_digest
from data.plan import Sets
from data.units import duration
from model.ftjnf import FTJNF, Size
from model.macs import cell_macs
from model.pace import epoch_seconds, time_step
from model.targets import network_digest
from model.teacher import PACKAGED, TeacherRecipe, train_teacher
from model.train import TrainConfig
from model.weights import load_network
from search.config import SearchConfig

FEWEST_EPOCHS = 5
"""A teacher trained for fewer teaches nothing worth a student's time."""
ENOUGH_TIMES = 8
"""Times the largest student's MACs that a teacher should have for KD effects to be expected: the paper's size A has 31
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

    Raises:
        InputError: a file that cannot be used, or a teacher for another array.
    """
    if config.teacher not in (None, "none"):
        path = Path(str(config.teacher))
    elif config.data.demo and config.teacher is None and config.teacher_size is None and PACKAGED.exists():
        path = PACKAGED
    else:
        return None
    net, _ = load_network(path, microphones)
    return SearchTeacher(net, path.absolute())


def trained_teacher(
    config: SearchConfig, microphones: int, sets: Sets, cache: Path, device: torch.device, tell: Callable[[str], None]
) -> SearchTeacher:
    """Trains a teacher on the search's own examples, or takes the one that an earlier search trained on the same.

    Raises:
        InputError: the time is too short for a teacher; says what to pass.
    """
    size = Size.parse(config.teacher_size or ("A" if device.type == "cuda" else "C"), microphones)
    seconds = config.teacher_time
    if config.time_budget is not None:
        third = config.time_budget / 3
        if seconds is not None and seconds > third:
            raise InputError(
                f"--teacher-time {duration(seconds)} is more than a third of --time-budget "
                f"{duration(config.time_budget)}; shorten it to {duration(third)}, raise --time-budget to "
                f"{duration(3 * seconds)}, or train the teacher before with `python -m model.teacher train` and pass --teacher FILE"
            )
        seconds = seconds or third
    train = TrainConfig(
        size, epochs=100, batch=config.train.batch, lr=config.train.lr, lr_schedule=config.train.lr_schedule,
        clip_norm=config.train.clip_norm, precision=config.train.precision, seed=config.seed,
    )  # fmt: skip
    key = {"recipe": TeacherRecipe(config.data, train).to_dict(), "sets": sets.manifest["sets"], "seconds": seconds}
    path = cache / "teachers" / f"{size.f_hidden}-{size.t_hidden}-{text_digest(key)}.safetensors"
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
                f"{_minutes(3 * FEWEST_EPOCHS * epoch)}, a smaller --teacher-size, fewer --train-clips, or --teacher FILE"
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
        decided.parent.mkdir(parents=True, exist_ok=True)
        decided.write_text(str(train.epochs))
    net = train_teacher(TeacherRecipe(config.data, train), sets, path, device, tell=tell)
    return SearchTeacher(net, path)


def too_small(teacher: FTJNF, largest: Size) -> str | None:
    """A warning if the teacher is hardly larger than the largest student, else None."""
    times = cell_macs(teacher.size) / cell_macs(largest)
    if times >= ENOUGH_TIMES:
        return None
    return (
        f"The teacher ({teacher.size}) has only {times:.1f} times the MACs of the largest student ({largest}); "
        f"below {ENOUGH_TIMES} times KD effects are not expected to show."
    )


def _minutes(seconds: float) -> str:
    return f"{int(seconds / 60) + 1}min"
