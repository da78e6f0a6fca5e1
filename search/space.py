"""What may be tried: the sizes within a budget, and one student's configuration."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from data.errors import InputError
from model.distill import METHODS, SCHEDULES
from model.ftjnf import Size
from model.macs import COSTS, Budget, paper_gmac

F_HIDDEN = range(8, 512 + 1, 8)
T_HIDDEN = range(4, 128 + 1, 4)
"""Hidden units of the grid: Table 1's steps of 8 and a finer one for T, down to sizes below row I."""

TABLE_1_SPLIT = (0.25, 0.45)
"""T/F of most rows of Table 1 (D to G with the teacher A); H and I lie below."""

INITS = ("slice", "random")

_END = math.log(1.05)
"""How far in log-MAC the ends of the stratified start may lie from the ends of the feasible range."""


@dataclass(frozen=True)
class Choice:
    """One student's configuration; equal choices are one configuration.

    Args:
        f_hidden: F, hidden units of the F-LSTM.
        t_hidden: T, hidden units of the T-LSTM.
        kd_method: a method of Table 2, or `none` for training without a teacher.
        alpha_schedule: the schedule of alpha; always `none` for the method `none`, which has no alpha.
        init: `slice` (cut out of the teacher) or `random`.
        bi_freq: whether the F-LSTM runs over frequency in both directions.
        microphones: M.
        repeat: counts the trainings of one configuration from other seeds, from 0.
    """

    f_hidden: int
    t_hidden: int
    kd_method: str
    alpha_schedule: str
    init: str
    bi_freq: bool = False
    microphones: int = 5
    repeat: int = 0

    def __post_init__(self) -> None:
        if self.kd_method == "none":
            object.__setattr__(self, "alpha_schedule", "none")

    @classmethod
    def of(cls, size: Size, kd_method: str, alpha_schedule: str, init: str, repeat: int = 0) -> Choice:
        """The configuration of a student of this size."""
        return cls(
            size.f_hidden, size.t_hidden, kd_method, alpha_schedule, init, size.bi_freq, size.microphones, repeat
        )

    @property
    def size(self) -> Size:
        """The student's size."""
        return Size(self.f_hidden, self.t_hidden, self.bi_freq, self.microphones)

    def key(self) -> str:
        """The configuration in one readable word, such as `80/32|linear|two-stage|slice`; with `|#1` its repeat 1."""
        again = (f"#{self.repeat}",) if self.repeat else ()
        return "|".join((str(self.size), self.kd_method, self.alpha_schedule, self.init, *again))


def parse_sizes(text: str, microphones: int = 5) -> tuple[Size, ...]:
    """Reads `--sizes`: `64/16,80/32`, or rows of Table 1 such as `E,G`; repeated sizes count once.

    Raises:
        InputError: an entry is not a size, or there is none.
    """
    entries = [entry for entry in text.split(",") if entry.strip()]
    if not entries:
        raise InputError(f"--sizes {text!r} names no size; write F/T with commas between, such as 64/16,80/32")
    return tuple(dict.fromkeys(Size.parse(entry, microphones) for entry in entries))


@dataclass(frozen=True)
class Space:
    """All configurations that a search may train.

    Args:
        budget: the largest cost of a student; nothing above it is in the space.
        methods: KD methods.
        schedules: alpha schedules; they do not multiply the method `none`.
        inits: how students may start.
        sizes: the sizes to try; None for the whole grid `F_HIDDEN` x `T_HIDDEN`.
        bi_freq, microphones: of the sizes of the grid.
        repeats: trainings of each configuration, each from a seed of its own.

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

    def __post_init__(self) -> None:
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
                    "leave it out of --sizes or raise --budget"
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
        return tuple(Size(f, t, self.bi_freq, self.microphones) for f in F_HIDDEN for t in T_HIDDEN)

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

    def configurations(self) -> Iterator[Choice]:
        """Every configuration once, by repeat, size (the cheapest first), method, schedule and start."""
        for repeat in range(self.repeats):
            for size in self._feasible:
                for method in self.methods:
                    for schedule in ("none",) if method == "none" else self.schedules:
                        for init in self.inits:
                            yield Choice.of(size, method, schedule, init, repeat)

    def count(self) -> int:
        """Number of configurations."""
        recipes = sum(1 if method == "none" else len(self.schedules) for method in self.methods)
        return len(self._feasible) * recipes * len(self.inits) * self.repeats

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
