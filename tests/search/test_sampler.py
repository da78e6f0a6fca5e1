"""The samplers without a model: random draws and the grid."""

from __future__ import annotations

from collections import Counter

import pytest

from data.errors import InputError
from model.ftjnf import TABLE_1, Size
from model.macs import Budget
from search.dimensions import Dimension
from search.sampler import SAMPLERS, Grid, Random, make_sampler
from search.space import Choice, Space, paper_sizes, parse_sizes

METHODS = ("none", "linear", "f-lstm")


def space(**settings) -> Space:
    defaults = {"methods": METHODS, "schedules": ("two-stage", "constant"), "inits": ("slice", "random")}
    return Space(Budget.parse("1.0GMAC"), **{**defaults, **settings})


def drawn(some: Space, students: int, seed: int = 0) -> list[Choice]:
    sampler = Random(some, seed)
    return [next(sampler.candidates(number, [])) for number in range(students)]


def test_random_draws_depend_on_seed_and_number_alone() -> None:
    assert drawn(space(), 20) == drawn(space(), 20)
    assert drawn(space(), 20) != drawn(space(), 20, seed=1)
    assert len(set(drawn(space(), 20))) > 15


def test_random_draws_are_uniform_whatever_the_priors() -> None:
    """By hand: 1200 draws of a third each have a standard deviation of 16."""
    choices = drawn(space(dimensions=(Dimension("lr", (1e-4, 1e-3)),)), 1200)
    assert choices == drawn(space(dimensions=(Dimension("lr", (1e-4, 1e-3)),), priors="none"), 1200)
    methods = Counter(choice.kd_method for choice in choices)
    assert all(abs(methods[method] - 400) < 65 for method in METHODS)
    for counts in (Counter(choice.lr for choice in choices), Counter(choice.init for choice in choices)):
        assert len(counts) == 2
        assert abs(counts.most_common(1)[0][1] - 600) < 70
    sizes = [choice.size for choice in choices]
    cheap = set(space().feasible()[: len(space().feasible()) // 2])
    assert abs(sum(size in cheap for size in sizes) - 600) < 80


def test_random_draws_are_configurations_of_the_space() -> None:
    some = space(
        sizes=parse_sizes("8/4,16/4"), repeats=2,
        dimensions=(Dimension("alpha", (0.3, 0.7)), Dimension("gram_normalise", ("plain", "cosine"))),
    )  # fmt: skip
    assert set(drawn(some, 1000)) == set(some.configurations())


def test_candidates_of_random_end() -> None:
    assert len(list(Random(space(), 0).candidates(0, []))) == 20


def test_grid_is_every_configuration_once_the_cheapest_size_first() -> None:
    some = space(sizes=parse_sizes("16/4,8/4"), dimensions=(Dimension("alpha", (0.3, 0.7)),))
    choices = list(Grid(some, 0).candidates(5, []))
    assert len(choices) == len(set(choices)) == some.count() == 2 * (1 + 2 * (1 + 2)) * 2
    assert [choice.size for choice in choices] == [Size(8, 4)] * 14 + [Size(16, 4)] * 14


def test_grid_of_the_paper_is_table_1_times_the_methods() -> None:
    budget = Budget.parse("9GMAC")
    paper = space(sizes=paper_sizes(Budget.parse("1.0GMAC")), schedules=("two-stage",), inits=("random",))
    keys = [(choice.size, choice.kd_method) for choice in Grid(paper, 0).candidates(0, [])]
    assert keys == [(TABLE_1[row], method) for row in "IHGF" for method in METHODS]
    assert len(paper_sizes(budget)) == 8


def test_samplers_are_made_by_name() -> None:
    assert isinstance(make_sampler("grid", space(), 0), Grid)
    assert isinstance(make_sampler("random", space(), 0), Random)
    with pytest.raises(InputError, match=r"'oracle' is not known; choose from .*random.*"):
        make_sampler("oracle", space(), 0)
    assert {"random", "grid"} <= set(SAMPLERS)
