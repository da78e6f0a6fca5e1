"""What to try next: the samplers, each a class with one method.

The cost of a size is known before it is trained, so none of them ever leaves the budget. They keep no state: what they
answer depends on the seed, the number and the trials so far.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal, Protocol, get_args

import numpy as np

from data.errors import InputError
from search.ehvi import Ehvi
from search.proposal import Proposal
from search.space import Choice, Space
from search.tpe import Tpe

SamplerName = Literal["ehvi", "tpe", "random", "grid"]
"""Names of `SAMPLERS`, as `--sampler` takes them."""

DEFAULT_SAMPLER: SamplerName = "ehvi"

DRAWS = 20
"""How often a random choice is drawn anew because it is no new one, before any untried one is taken."""


class Sampler(Protocol):
    """What proposes configurations."""

    def candidates(self, number: int, trials: Sequence[Proposal]) -> Iterator[Choice]:
        """Configurations for the student of this number, the best first; the first that is new is taken.

        Args:
            number: of the student, counted from 0; equal to the number of trials of this search.
            trials: all so far, by number; those RUNNING are in training. Those of an earlier search come first and have
                negative numbers.
        """


class Random:
    """Size, method, schedule, start and every other dimension uniformly at random among what fits the budget, whatever
    the priors: the baseline."""

    def __init__(self, space: Space, seed: int) -> None:
        self._space, self._seed = space, seed

    def candidates(self, number: int, trials: Sequence[Proposal]) -> Iterator[Choice]:
        """Draws."""
        space, sizes, rng = self._space, self._space.feasible(), np.random.default_rng([self._seed, number])
        parts = (space.methods, space.schedules or ("none",), space.inits)
        for _ in range(DRAWS):
            size = sizes[rng.integers(len(sizes))]
            method, schedule, init = (options[rng.integers(len(options))] for options in parts)
            repeat = int(rng.integers(space.repeats))
            settings = {one.name: one.options[rng.integers(len(one.options))] for one in space.dimensions}
            yield Choice.of(size, method, schedule, init, repeat, **settings)


class Grid:
    """All configurations in the order of `Space.configurations`."""

    def __init__(self, space: Space, seed: int) -> None:
        self._space = space

    def candidates(self, number: int, trials: Sequence[Proposal]) -> Iterator[Choice]:
        """All of them."""
        return self._space.configurations()


SAMPLERS: dict[str, Callable[[Space, int], Sampler]] = {"ehvi": Ehvi, "tpe": Tpe, "random": Random, "grid": Grid}


def make_sampler(name: str, space: Space, seed: int) -> Sampler:
    """The sampler of a name.

    Raises:
        InputError: an unknown name.
    """
    if name not in SAMPLERS:
        raise InputError(f"sampler {name!r} is not known; choose from {', '.join(get_args(SamplerName))}")
    return SAMPLERS[name](space, seed)
