"""The sampler that knows its cost axis: the configuration that is expected to add most to the front.

A student's cost is known before it is trained, so only its score is uncertain. The expected hypervolume improvement of
two objectives (Emmerich, Giannakoglou and Naujoks 2006) then has a simple form: the improvement is the area between the
front and the front with the new student, and at each cost c from the student's own to the budget its height is what the
student scores above the best of the students that cost at most c. So

    EHVI(x) = integral from log c(x) to log budget of EI(x, best(c)) d log c,

where EI is the expected improvement (Jones, Schonlau and Welch 1998, eq. 15) of the Gaussian process in `process.py`.
It is computed for all configurations, or a large sample of them, so nothing has to be optimised, and everything that is
proposed exists, fits the budget and is new.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from scipy.special import ndtr

from model.ftjnf import Size
from model.macs import paper_gmac
from search.coordinates import Coordinates
from search.priors import band
from search.process import Features, Floats, GaussianProcess
from search.proposal import Proposal
from search.space import Choice, Space
from search.start import START, start

BEGIN = 6
"""Students of the stratified start that come first in any case; more of it only as long as there are no scores."""
ENOUGH = 3
"""Finished students that a model is made of, at least."""
RECIPES = 512
"""Recipes at most: where a space has more, or endlessly many, so many are drawn anew for each student."""
BELIEF = 3.0
"""Scores up to which the priors count in full; with n scores beyond they are raised to the power of BELIEF / n, soon
outweighed: Hvarfner et al. 2022, "pi-BO: Augmenting acquisition functions with user beliefs"."""
CONFIGURATIONS = 4000
"""Configurations that are compared at a time, at most."""
ANSWERS = 50
"""Configurations that are proposed in turn until one is new."""

_NOT_RECIPE = ("f_hidden", "t_hidden", "bi_freq", "microphones", "repeat")


class Ehvi:
    """First `search.start.start`, sizes stratified over log-MAC; then what adds most to the front by expectation.

    The front is that of this search: students of an earlier one inform the model, and leave nothing out.

    Students in training, and those that the time has cut short, count as if they had scored what is expected of them.
    One that was stopped early, or waits, is taken to score what is expected of one that is behind the front. A failed
    one has no score, but where students fail, fewer are proposed. The priors weigh what is expected, the less
    the more scores there are, see `BELIEF`.

    Args:
        space: what may be proposed.
        seed: of the draws.
    """

    def __init__(self, space: Space, seed: int) -> None:
        self._space, self._seed, self._coordinates = space, seed, Coordinates(space)
        self._bands = np.array([band(size) for size in space.feasible()], np.intp)
        self._start = list(start(space, START, self._rng(0)))
        self._end = math.log10(
            max(space.budget.readings()["GMAC"], paper_gmac(space.feasible()[-1]) * 1.02)
        )  # a little beyond the dearest, so that it can add something

    def candidates(self, number: int, trials: Sequence[Proposal]) -> Iterator[Choice]:
        """The configurations of the largest expected improvement."""
        rng = self._rng(number)
        recipes = self._recipes(rng)
        scored = [one for one in trials if _is_scored(one)]
        # what an earlier search has scored stands for as much of the start
        first = (BEGIN if len(scored) >= ENOUGH else len(self._start)) - (len(trials) - number)
        yield from self._start[:first][number : number + 1] if first > 0 else ()
        if len(scored) < ENOUGH:
            yield from self._anywhere(recipes, rng)
            return
        tried = {one.choice for one in trials if not one.elsewhere}
        sizes, places = self._space.feasible(), (len(self._space.feasible()), len(recipes))
        model, prior = _Model(self._space, trials, recipes, self._end), self._prior(recipes, len(scored))

        def gained(pool: NDArray[np.intp]) -> Floats:
            size, recipe = np.divmod(pool, places[1])
            return model.improvement(size, recipe) * prior[self._bands[size], recipe]

        if math.prod(places) <= CONFIGURATIONS:
            pool = np.arange(math.prod(places))
            gain = gained(pool)
        else:
            pool = rng.choice(math.prod(places), CONFIGURATIONS, replace=False)
            gain = gained(pool)
            # around the best of the sample: every size with its recipe, every recipe at its size
            size, recipe = np.divmod(pool[np.argmax(gain)], places[1])
            around = np.union1d(np.arange(places[0]) * places[1] + recipe, size * places[1] + np.arange(places[1]))
            pool, gain = np.concatenate([pool, around]), np.concatenate([gain, gained(around)])
        best = (divmod(int(pool[i]), places[1]) for i in np.argsort(-gain, kind="stable"))
        new = (choice for size, recipe in best if (choice := _with_size(recipes[recipe], sizes[size])) not in tried)
        yield from itertools.islice(new, ANSWERS)

    def _prior(self, recipes: Sequence[Choice], scores: int) -> Floats:
        """(bands, recipes) the factor of each recipe: 1 for the likeliest in a band, so that sizes are not weighed."""
        weights = np.ones((int(self._bands.max()) + 1, len(recipes)))
        for place, which in zip(*np.unique(self._bands, return_index=True), strict=True):
            size = self._space.feasible()[which]
            weights[place] = [self._space.prior(_with_size(recipe, size)) for recipe in recipes]
        return np.asarray((weights / weights.max(axis=1, keepdims=True)) ** min(1.0, BELIEF / scores), np.float64)

    def _recipes(self, rng: np.random.Generator) -> list[Choice]:
        """Everything but the size that a configuration can be, each at some size."""
        options = {name: one for name, one in self._coordinates.distributions().items() if name not in ("u", "v")}
        grids = [one.choices if isinstance(one, CategoricalDistribution) else () for one in options.values()]
        if 0 < math.prod(len(grid) for grid in grids) <= RECIPES:
            drawn = [dict(zip(options, values, strict=True)) for values in itertools.product(*grids)]
        else:
            drawn = [{name: _draw(one, rng) for name, one in options.items()} for _ in range(RECIPES)]
        return list(dict.fromkeys(self._coordinates.choice({"u": 0.0, "v": 0.5, **params}) for params in drawn))

    def _anywhere(self, recipes: list[Choice], rng: np.random.Generator) -> Iterator[Choice]:
        """Draws, even along log-MAC."""
        for _ in range(ANSWERS):
            size = self._space.nearest(rng.uniform(), rng.uniform(0.6, 0.85))
            yield _with_size(recipes[rng.integers(len(recipes))], size)

    def _rng(self, number: int) -> np.random.Generator:
        return np.random.default_rng([self._seed, number])


class _Model:
    """What is known of the students after so many trials.

    Args:
        space: the sizes.
        trials: all students so far.
        recipes: those that are compared.
        end: log10 GMAC up to which a student adds to the front.
    """

    def __init__(self, space: Space, trials: Sequence[Proposal], recipes: Sequence[Choice], end: float) -> None:
        self._space, self._end = space, end
        self._code = _Code([*recipes, *(one.choice for one in trials)])
        self._recipes = self._code.of(recipes)
        sizes = space.feasible()
        self._size_costs = np.array([_log_gmac(size) for size in sizes])
        self._positions = np.array([space.position(size) for size in sizes])
        scored = [one for one in trials if _is_scored(one)]
        own = [one.choice for one in scored if one.number >= 0]
        running = [one.choice for one in trials if one.state == "RUNNING" or one.cut]
        stopped = [one.choice for one in trials if one.state in ("PRUNED", "PAUSED") and not one.cut]
        trained = [one.choice for one in scored]
        source = np.array([one.elsewhere for one in scored], np.intp)
        process = GaussianProcess(self._of(trained, source), np.array([one.pesq for one in scored], np.float64))
        self._least = float(process.predict(self._of(trained))[0].min())
        self._set_front(process, own)
        if stopped:
            features = self._of(stopped)
            process = process.with_scores(features, _behind(*process.predict(features), self._best(stopped)))
        if running:
            features = self._of(running)
            process = process.with_scores(features, process.predict(features)[0])
        self._process = process
        self._set_front(process, own + running)
        failed = [one.choice for one in trials if one.state == "FAIL"]
        self._ended = self._of([*trained, *failed]) if failed else None
        self._succeeded = np.repeat([1.0, 0.0], [len(trained), len(failed)])

    def improvement(self, sizes: NDArray[np.intp], recipes: NDArray[np.intp]) -> Floats:
        """(n,) the expected improvement of the front's hypervolume, in decades of cost times PESQ.

        Args:
            sizes: (n,) indices of feasible sizes.
            recipes: (n,) indices of recipes.
        """
        codes, quantities = self._recipes
        here = np.zeros(len(sizes), np.intp)
        features = Features(self._positions[sizes], codes[recipes], quantities[recipes], here)
        mean, std = self._process.predict(features)
        ends = np.append(self._costs[1:], self._end)
        begins = np.maximum(self._costs[None], self._size_costs[sizes, None])
        widths = np.maximum(ends[None] - begins, 0.0)  # (n, steps)
        above = (mean[:, None] - self._scores[None]) / std[:, None]
        density = np.exp(-0.5 * above**2) / math.sqrt(2 * math.pi)
        gain = np.sum(widths * std[:, None] * (above * ndtr(above) + density), axis=1)
        return gain * self._success(features)

    def _set_front(self, process: GaussianProcess, choices: Sequence[Choice]) -> None:
        """The front as steps: from each cost on, the best expected score of a student that costs no more."""
        costs = np.array([_log_gmac(choice.size) for choice in choices], np.float64)
        scores = process.predict(self._of(choices))[0] if choices else np.zeros(0)
        order = np.argsort(costs, kind="stable")
        # left of the cheapest student anything counts that is better than the worst
        self._costs = np.concatenate([[-math.inf], costs[order]])
        self._scores = np.maximum.accumulate(np.concatenate([[self._least], scores[order]]))

    def _best(self, choices: Sequence[Choice]) -> Floats:
        """(n,) what the front scores at the costs of these students."""
        costs = np.array([_log_gmac(choice.size) for choice in choices])
        return self._scores[np.searchsorted(self._costs, costs, side="right") - 1]

    def _success(self, features: Features) -> Floats | float:
        """The chance that a student ends with a score, by how similar ones did."""
        if self._ended is None:
            return 1.0
        near = np.exp(-np.sum(features.distances(self._ended) * 4.0, axis=0))  # (n, ended)
        return (1 + near @ self._succeeded) / (1 + near.sum(axis=1))

    def _of(self, choices: Sequence[Choice], source: NDArray[np.intp] | None = None) -> Features:
        position = np.array([self._space.position(choice.size) for choice in choices], np.float64).reshape(-1, 2)
        here = np.zeros(len(choices), np.intp)
        return Features(position, *self._code.of(choices), here if source is None else source)


class _Code:
    """Recipes as numbers: categories by code, quantities within 0..1, and nothing for what never differs."""

    def __init__(self, choices: Sequence[Choice]) -> None:
        values = {name: {getattr(one, name) for one in choices} for name in Choice.__dataclass_fields__}
        varied = {name: found for name, found in values.items() if len(found) > 1 and name not in _NOT_RECIPE}
        self._quantities = {
            name: (min(numbers), max(numbers))
            for name, found in varied.items()
            if len(numbers := [value for value in found if _is_number(value)]) > 1
        }
        self._codes = {
            name: {value: code for code, value in enumerate(sorted(found, key=str))}
            for name, found in varied.items()
            if name not in self._quantities or len(found) > sum(map(_is_number, found))
        }

    def of(self, choices: Sequence[Choice]) -> tuple[NDArray[np.intp], Floats]:
        """(n, groups) codes and (n, quantities); where a quantity means nothing it lies in the middle."""
        codes = [[self._group(name, getattr(one, name)) for name in self._codes] for one in choices]
        numbers = [[self._place(name, getattr(one, name)) for name in self._quantities] for one in choices]
        n = len(choices)
        return np.array(codes, np.intp).reshape(n, -1), np.array(numbers, np.float64).reshape(n, -1)

    def _group(self, name: str, value: Any) -> int:
        # of a quantity that can be missing, being there is one category
        return -1 if name in self._quantities and _is_number(value) else self._codes[name][value]

    def _place(self, name: str, value: Any) -> float:
        low, high = self._quantities[name]
        if not _is_number(value):
            return 0.5
        if low > 0 and high > 10 * low:
            return math.log(value / low) / math.log(high / low)
        return (value - low) / (high - low)


def _behind(mean: Floats, std: Floats, best: Floats) -> Floats:
    """The mean of normal distributions as far as they lie below `best`."""
    z = (best - mean) / std
    share = np.maximum(ndtr(z), 1e-6)
    return mean - std * np.exp(-0.5 * z**2) / math.sqrt(2 * math.pi) / share


def _is_scored(one: Proposal) -> bool:
    return one.state == "COMPLETE" and one.pesq is not None and not one.cut


def _with_size(recipe: Choice, size: Size) -> Choice:
    return replace(recipe, f_hidden=size.f_hidden, t_hidden=size.t_hidden, bi_freq=size.bi_freq,
                   microphones=size.microphones)  # fmt: skip


@lru_cache(maxsize=10_000)
def _log_gmac(size: Size) -> float:
    return math.log10(paper_gmac(size))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _draw(distribution: BaseDistribution, rng: np.random.Generator) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[rng.integers(len(distribution.choices))]
    assert isinstance(distribution, FloatDistribution)
    return rng.uniform(distribution.low, distribution.high)
