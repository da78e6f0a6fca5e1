"""What a search may vary beside size, method, schedule and start: settings of a training, as data."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_args

from data.errors import InputError
from model.distill import METHODS
from model.gram import Form, Normalise
from model.schedule import SCHEDULES

Option = float | str


@dataclass(frozen=True)
class Setting:
    """A setting of a training that a search may vary.

    Args:
        meaning: of it, in words, with its range.
        heeded: whether it means anything to a training with this KD method and this alpha schedule.
        accepts: whether a value can be one of its options.
        words: its options where they are words; None for numbers, which have an order.
        needs: what a search must try for it to mean something.
    """

    meaning: str
    heeded: Callable[[str, str], bool]
    accepts: Callable[[Any], bool]
    words: tuple[str, ...] | None = None
    needs: str = ""


def _number(low: float, high: float, *, with_high: bool = False) -> Callable[[Any], bool]:
    def accepts(value: Any) -> bool:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            return False
        return low < value < high or (with_high and value == high)

    return accepts


def _learns(method: str) -> bool:
    return method in METHODS and bool(METHODS[method].layers)


def _has_gram(method: str) -> bool:
    return method in METHODS and any(comparison == "gram" for _, comparison in METHODS[method].layers)


_GRAM = "a method with a Gram loss (" + ", ".join(method for method in METHODS if _has_gram(method)) + ")"
_RAMPS = tuple(
    name for name, one in SCHEDULES.items() if any(stage.start != stage.end for stage in one.stages)
)  # linear, cosine
_SOFT = tuple(
    name for name, one in SCHEDULES.items() if len(one.stages) > 1 and any(stage.only_soft for stage in one.stages)
)  # two-stage
_CONSTANT = tuple(name for name, one in SCHEDULES.items() if one.takes_alpha)

SETTINGS: dict[str, Setting] = {
    "alpha": Setting(
        "the weight of the hard loss in the schedule constant, between 0 and 1",
        lambda method, schedule: _learns(method) and schedule in _CONSTANT,
        _number(0, 1),
        needs="the schedule constant and a KD method",
    ),
    "ramp": Setting(
        "the share of the epochs in which the schedules linear and cosine take alpha from 0 to 1, above 0, at most 1",
        lambda method, schedule: _learns(method) and schedule in _RAMPS,
        _number(0, 1, with_high=True),
        needs="the schedule linear or cosine and a KD method",
    ),
    "soft_share": Setting(
        "the first stage's share of the epochs of both stages of the schedule two-stage, between 0 and 1",
        lambda method, schedule: _learns(method) and schedule in _SOFT,
        _number(0, 1),
        needs="the schedule two-stage and a KD method",
    ),
    "lr": Setting(
        "Adam's learning rate at the start of a stage, above 0 and below 1",
        lambda method, schedule: True,
        _number(0, 1),
    ),
    "gram_form": Setting(
        "the pairs that eq. 7 compares",
        lambda method, schedule: _has_gram(method),
        lambda value: value in get_args(Form),
        get_args(Form),
        needs=_GRAM,
    ),
    "gram_normalise": Setting(
        "the inner products of eq. 7",
        lambda method, schedule: _has_gram(method),
        lambda value: value in get_args(Normalise),
        get_args(Normalise),
        needs=_GRAM,
    ),
}
"""By the name of the field of `search.space.Choice`, which is None where the search's own setting holds."""


@dataclass(frozen=True)
class Dimension:
    """A setting that a search varies, and what it tries of it.

    Args:
        name: key of `SETTINGS`.
        options: numbers in ascending order, or words.

    Raises:
        InputError: an unknown name, no options, one twice, or one that cannot be used.
    """

    name: str
    options: tuple[Option, ...]

    def __post_init__(self) -> None:
        setting = SETTINGS.get(self.name)
        if setting is None:
            raise InputError(f"{self.name!r} cannot be varied; choose from {', '.join(SETTINGS)}")
        if not self.options:
            raise InputError(f"{self.name} has no options; give at least one, or leave it out")
        for value in self.options:
            if not setting.accepts(value):
                choose = f"; choose from {', '.join(setting.words)}" if setting.words else ""
                raise InputError(f"{self.name} cannot be {value!r}: it is {setting.meaning}{choose}")
        options = tuple(self.options) if setting.words else tuple(sorted(float(value) for value in self.options))
        if len(set(options)) < len(options):
            raise InputError(f"{self.name} names an option twice ({', '.join(map(str, options))}); name each once")
        object.__setattr__(self, "options", options)

    @property
    def ordered(self) -> bool:
        """Whether the options are numbers: neighbours are more alike than others."""
        return SETTINGS[self.name].words is None

    def heeded(self, method: str, schedule: str) -> bool:
        """Whether it means anything to a training with this KD method and this alpha schedule."""
        return SETTINGS[self.name].heeded(method, schedule)

    def told(self) -> str:
        """In words, such as `alpha 0.3, 0.5`."""
        shown = (value if isinstance(value, str) else f"{value:g}" for value in self.options)
        return f"{self.name} {', '.join(shown)}"
