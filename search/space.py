"""What may be tried: the sizes within a budget, and all configurations of them."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np

from data.errors import InputError
from model.distill import METHODS
from model.ftjnf import TABLE_1, Size
from model.macs import COSTS, Budget, paper_gmac
from model.schedule import SCHEDULES
from search.choice import Choice
from search.dimensions import Dimension
from search.priors import FIELDS, PriorsName, weight

F_HIDDEN = range(8, 512 + 1, 8)
T_HIDDEN = range(4, 128 + 1, 4)
"""Hidden units of the grid: Table 1's steps of 8 and a finer one for T, down to sizes below row I."""

TABLE_1_SPLIT = (0.25, 0.45)
"""T/F of most rows of Table 1 (D to G with the teacher A); H and I lie below."""

INITS = ("slice", "random")

_END = math.log(1.05)
"""How far in log-MAC the ends of the stratified start may lie from the ends of the feasible range."""


def parse_sizes(text: str, microphones: int = 5) -> tuple[Size, ...]:
    """Reads `--sizes`: `64/16,80/32`, or rows of Table 1 such as `E,G`; repeated sizes count once.

    Raises:
        InputError: an entry is not a size, or there is none.
    """
    entries = [entry for entry in text.split(",") if entry.strip()]
    if not entries:
        raise InputError(f"--sizes {text!r} names no size; write F/T with commas between, such as 64/16,80/32")
    return tuple(dict.fromkeys(Size.parse(entry, microphones) for entry in entries))


def paper_sizes(budget: Budget, microphones: int = 5, *, bi_freq: bool = False) -> tuple[Size, ...]:
    """The students of the paper's grid within a budget: rows B to I of Table 1 (A is the teacher).

    Raises:
        InputError: none is.
    """
    students = [row for name, row in TABLE_1.items() if name != "A"]
    rows = [replace(row, bi_freq=bi_freq, microphones=microphones) for row in students]
    fits = tuple(size for size in rows if budget.allows(size))
    if not fits:
        raise InputError(
            f"--sampler grid goes through the rows B to I of Table 1, but none fits the budget of {budget}: the "
            f"smallest, {rows[-1]}, costs {_cost(rows[-1])}; give other --sizes, or raise --budget"
        )
    return fits


@dataclass(frozen=True)
class Space:
    """All configurations that a search may train. It may have millions: they are counted and numbered, not listed.

    Args:
        budget: the largest cost of a student; nothing above it is in the space.
        methods: KD methods.
        schedules: alpha schedules; they do not multiply the method `none`.
        inits: how students may start.
        sizes: the sizes to try; None for the whole grid `f_hidden` x `t_hidden`.
        bi_freq, microphones: of the sizes of the grid.
        repeats: trainings of each configuration, each from a seed of its own.
        f_hidden, t_hidden: hidden units of the grid.
        dimensions: other settings that are varied; each multiplies the configurations that heed it.
        priors: whether `prior` weighs by the paper's findings.

    Raises:
        InputError: nothing fits the budget, or a size in `sizes` does not, or there is nothing to choose from.
    """

    budget: Budget
    methods: tuple[str, ...]
    schedules: tuple[str, ...]
    inits: tuple[str, ...] = ("random",)
    sizes: tuple[Size, ...] | None = None
    bi_freq: bool = False
    microphones: int = 5
    repeats: int = 1
    f_hidden: Sequence[int] = F_HIDDEN
    t_hidden: Sequence[int] = T_HIDDEN
    dimensions: tuple[Dimension, ...] = ()
    priors: PriorsName = "paper"

    def __post_init__(self) -> None:
        names = [dimension.name for dimension in self.dimensions]
        if len(set(names)) < len(names):
            raise InputError(f"the dimensions {', '.join(names)} name one twice; name each once")
        if self.repeats < 1:
            raise InputError(f"--repeats must be at least 1 but is {self.repeats}")
        known = {"methods": tuple(METHODS), "schedules": tuple(SCHEDULES), "inits": INITS}
        for name, options in known.items():
            values = getattr(self, name)
            # with `none` alone no schedule is needed
            if not values and not (name == "schedules" and set(self.methods) == {"none"}):
                raise InputError(f"the search has no {name} to choose from; name at least one of {', '.join(options)}")
            if len(set(values)) < len(values):
                raise InputError(f"{name} {','.join(values)}: one is named twice; name each once")
            for value in values:
                if value not in options:
                    raise InputError(f"{value!r} is none of the {name}; choose from {', '.join(options)}")
        self._check_sizes()

    def _check_sizes(self) -> None:
        for size in self.sizes or ():
            if not self.budget.allows(size):
                raise InputError(
                    f"size {size} costs {_cost(size)}, above the budget of {self.budget}; "
                    "leave it out or raise --budget"
                )
        if not self._feasible:
            smallest = min(self._grid(), key=paper_gmac)
            raise InputError(
                f"no size fits the budget of {self.budget}: the smallest, {smallest}, costs {_cost(smallest)}; "
                "raise --budget"
            )

    def _grid(self) -> tuple[Size, ...]:
        if self.sizes is not None:
            return self.sizes
        return tuple(Size(f, t, self.bi_freq, self.microphones) for f in self.f_hidden for t in self.t_hidden)

    @cached_property
    def _feasible(self) -> tuple[Size, ...]:
        fits = [size for size in self._grid() if self.budget.allows(size)]
        return tuple(sorted(fits, key=lambda size: (paper_gmac(size), size.f_hidden)))

    @cached_property
    def _positions(self) -> np.ndarray:
        return np.array([self.position(size) for size in self._feasible])

    def feasible(self) -> list[Size]:
        """The sizes within the budget, the cheapest first."""
        return list(self._feasible)

    @cached_property
    def _recipes(self) -> list[tuple[str, str, dict[str, Sequence[Any]]]]:
        """Each method with each schedule, and the options of all else that they heed, by name; `init` comes last."""
        return [
            (method, schedule, self.options(method, schedule) | {"init": self.inits})
            for method in self.methods
            for schedule in (("none",) if method == "none" else self.schedules)
        ]

    def options(self, method: str, schedule: str) -> dict[str, Sequence[Any]]:
        """What is varied of the settings that a method and a schedule heed, by name."""
        return {one.name: one.options for one in self.dimensions if one.heeded(method, schedule)}

    def configurations(self) -> Iterator[Choice]:
        """Every configuration once, by repeat, size (the cheapest first), method, schedule, dimensions and start."""
        for repeat in range(self.repeats):
            for size in self._feasible:
                for method, schedule, axes in self._recipes:
                    for values in product(*axes.values()):
                        settings = dict(zip(axes, values, strict=True))
                        yield Choice.of(size, method, schedule, settings.pop("init"), repeat, **settings)

    def configuration(self, index: int) -> Choice:
        """The configuration at an index, from 0 to below `count`, in the order of `configurations`."""
        each = sum(math.prod(map(len, axes.values())) for _, _, axes in self._recipes)
        index, within = divmod(index, each)
        repeat, place = divmod(index, len(self._feasible))
        recipe = 0
        while within >= (many := math.prod(map(len, self._recipes[recipe][2].values()))):
            within -= many
            recipe += 1
        method, schedule, axes = self._recipes[recipe]
        settings = {}
        for name, options in reversed(axes.items()):
            within, which = divmod(within, len(options))
            settings[name] = options[which]
        return Choice.of(self._feasible[place], method, schedule, settings.pop("init"), repeat, **settings)

    def count(self) -> int:
        """Number of configurations."""
        recipes = sum(math.prod(map(len, axes.values())) for _, _, axes in self._recipes)
        return len(self._feasible) * recipes * self.repeats

    def untried(self, tried: Collection[Choice], rng: np.random.Generator) -> Choice | None:
        """A configuration that is not among those tried, each with the same chance; None if there is none left."""
        count = self.count()
        if count > 2 * len(tried):  # every second draw at least is a new one
            while (choice := self.configuration(int(rng.integers(count)))) in tried:
                pass
            return choice
        left = [choice for choice in self.configurations() if choice not in tried]
        return left[rng.integers(len(left))] if left else None

    def weight(self, field: str, option: object, size: Size) -> float:
        """How likely an option of a field of `Choice` is to be worth a training, see `search.priors`; 1 without."""
        return 1.0 if self.priors == "none" else weight(field, option, size)

    def prior(self, choice: Choice) -> float:
        """How likely a configuration is to be worth a training, against others of its size; not normalised."""
        return math.prod(self.weight(field, getattr(choice, field), choice.size) for field in FIELDS)

    def position(self, size: Size) -> tuple[float, float]:
        """Where a size lies for the sampler: (u, v).

        u is the share of the range of log-MAC, 0 at the smallest feasible size and 1 at the largest (below 0 or above 1
        for a size outside); v is the F-LSTM's share of the hidden units, F/(F+T), within 0..1.
        """
        low, high = math.log(paper_gmac(self._feasible[0])), math.log(paper_gmac(self._feasible[-1]))
        u = (math.log(paper_gmac(size)) - low) / (high - low) if high > low else 0.5
        return u, size.f_hidden / (size.f_hidden + size.t_hidden)

    def nearest(self, u: float, v: float) -> Size:
        """The feasible size nearest to a position; of equally near ones the cheapest."""
        return self._feasible[int(np.argmin(np.sum((self._positions - (u, v)) ** 2, axis=1)))]

    def stratified_start(self, n: int) -> list[Size]:
        """At most n sizes at equal steps of log-MAC from the largest to the smallest feasible one, the cheapest first.

        At each level it is the size nearest in log-MAC and in its split, T/F as in Table 1, both in logarithms. At the
        two ends it costs within 5 % of the costliest and the cheapest: a size of the usual split stands for the largest
        better than one whose layers are lopsided. Sizes that were named are taken all.
        """
        if self.sizes is not None or n >= len(self._feasible):
            return self.feasible()
        log_macs = np.log([paper_gmac(size) for size in self._feasible])
        log_split = np.log([size.t_hidden / size.f_hidden for size in self._feasible])
        low, high = np.log(TABLE_1_SPLIT)
        off_split = np.maximum(0, np.maximum(low - log_split, log_split - high))
        taken: list[int] = []
        levels = np.linspace(log_macs[-1], log_macs[0], n)
        for level in (*levels[[0, -1]][:n], *levels[1:-1]):
            distance = np.abs(log_macs - level)
            score = distance + off_split
            if len(taken) < 2:
                score[distance > _END] = np.inf
            score[taken] = np.inf
            taken.append(int(np.argmin(score)))
        return [self._feasible[index] for index in sorted(taken)]


def _cost(size: Size) -> str:
    return " = ".join(f"{cost(size):.3g} {unit}" for unit, cost in COSTS.items())
