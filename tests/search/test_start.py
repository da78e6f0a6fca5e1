from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from model.macs import Budget, paper_gmac
from search.dimensions import Dimension
from search.space import Choice, Space, parse_sizes
from search.start import start

METHODS = ("none", "linear", "t-lstm")
EVERY = ("none", "mask", "linear", "f-lstm", "t-lstm", "multi")


def choices(n: int = 10, seed: int = 0, budget: str = "1.0GMAC", **settings) -> list[Choice]:
    defaults = {"methods": METHODS, "schedules": ("two-stage", "cosine"), "inits": ("slice",)}
    space = Space(Budget.parse(budget), **{**defaults, **settings})
    return list(start(space, n, np.random.default_rng(seed)))


@pytest.mark.parametrize("seed", range(5))
def test_the_largest_and_the_smallest_size_come_first(seed: int) -> None:
    costs = [paper_gmac(choice.size) for choice in choices(seed=seed)]
    assert costs[:2] == [max(costs), min(costs)]


def test_the_third_is_near_the_middle_and_all_sizes_differ() -> None:
    sizes = [choice.size for choice in choices()]
    assert sorted(sizes, key=paper_gmac).index(sizes[2]) in (4, 5)
    assert len(set(sizes)) == 10


@pytest.mark.parametrize("seed", range(5))
def test_without_priors_each_method_has_its_turn_before_any_has_its_second(seed: int) -> None:
    methods = [choice.kd_method for choice in choices(seed=seed, priors="none")]
    assert set(methods[:3]) == set(methods[3:6]) == set(METHODS)


@pytest.mark.parametrize("seed", range(5))
def test_every_method_of_a_demo_is_among_the_first_three(seed: int) -> None:
    """The largest is above size F and learns by KD; the second is below, where the paper saw no use in KD."""
    methods = [choice.kd_method for choice in choices(seed=seed)]
    assert set(methods[:3]) == set(METHODS)
    assert methods[0] != "none"
    assert methods[1] == "none"


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("budget", ["0.8GMAC", "4GMAC"])
def test_below_size_f_the_first_learns_without_kd_and_above_by_kd(seed: int, budget: str) -> None:
    started = choices(seed=seed, budget=budget, methods=tuple(EVERY))
    below = [choice.kd_method for choice in started if paper_gmac(choice.size) < 0.85]
    above = [choice.kd_method for choice in started if paper_gmac(choice.size) >= 0.85]
    assert below[0] == "none"
    assert below.count("none") >= 2
    assert above[:1] in ([], ["linear"], ["t-lstm"], ["multi"])


@pytest.mark.parametrize("seed", range(5))
def test_what_the_paper_saw_no_use_in_comes_last_and_once(seed: int) -> None:
    started = [choice.kd_method for choice in choices(seed=seed, methods=tuple(EVERY))]
    assert set(started) == set(EVERY)
    assert started.count("mask") == started.count("f-lstm") == 1
    assert started[-1] == "f-lstm"
    assert "mask" in started[4:]
    assert {"mask", "f-lstm"} <= set(choices_of(EVERY, "none")[:6]), "without priors they are early as others are"


def choices_of(methods: Sequence[str], priors: str) -> list[str]:
    return [choice.kd_method for choice in choices(methods=tuple(methods), priors=priors)]


@pytest.mark.parametrize("seed", range(5))
def test_each_method_begins_in_two_stages(seed: int) -> None:
    schedules = ("constant", "cosine", "linear", "two-stage")
    started = choices(12, seed, methods=("linear", "t-lstm"), schedules=schedules)
    for method in ("linear", "t-lstm"):
        mine = [choice.alpha_schedule for choice in started if choice.kd_method == method]
        assert mine[0] == "two-stage"
        assert set(mine[:4]) == set(schedules)


def test_options_of_other_dimensions_take_turns_where_they_are_heeded() -> None:
    dimensions = (Dimension("alpha", (0.3, 0.5, 0.7)), Dimension("gram_normalise", ("cosine", "plain")))
    started = choices(12, methods=("linear", "t-lstm"), schedules=("constant",), dimensions=dimensions)
    alphas = [choice.alpha for choice in started]
    assert sorted(alphas[:3]) == sorted(alphas[3:6]) == [0.3, 0.5, 0.7]
    grams = [choice.gram_normalise for choice in started if choice.kd_method == "t-lstm"]
    assert grams[:3] == ["plain", "cosine", "plain"]
    assert {choice.gram_normalise for choice in started if choice.kd_method == "linear"} == {None}


@pytest.mark.parametrize("seed", range(5))
def test_each_method_meets_each_schedule_and_start(seed: int) -> None:
    for methods in (("linear", "t-lstm"), ("linear", "t-lstm", "multi")):
        started = choices(12, seed, methods=methods, inits=("slice", "random"))
        recipes = {(choice.kd_method, choice.alpha_schedule, choice.init) for choice in started}
        assert len(recipes) == len(methods) * 2 * 2


def test_more_methods_than_named_sizes_share_the_sizes() -> None:
    started = choices(sizes=parse_sizes("64/16,72/24"), methods=("none", "linear", "t-lstm", "multi", "mask"))
    assert len({choice.kd_method for choice in started}) == 5
    assert len(set(started)) == len(started) == 5


def test_the_seed_decides_which_method_meets_which_size() -> None:
    assert choices(seed=1) == choices(seed=1)
    assert len({tuple(choices(seed=seed)) for seed in range(8)}) > 1
