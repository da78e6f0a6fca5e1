from __future__ import annotations

import numpy as np
import pytest

from model.macs import Budget, paper_gmac
from search.space import Choice, Space, parse_sizes
from search.start import start

METHODS = ("none", "linear", "t-lstm")


def choices(n: int = 10, seed: int = 0, **settings) -> list[Choice]:
    defaults = {"methods": METHODS, "schedules": ("two-stage", "cosine"), "inits": ("slice",)}
    space = Space(Budget.parse("1.0GMAC"), **{**defaults, **settings})
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
def test_each_method_has_its_turn_before_any_has_its_second(seed: int) -> None:
    methods = [choice.kd_method for choice in choices(seed=seed)]
    assert set(methods[:3]) == set(methods[3:6]) == set(METHODS)


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
