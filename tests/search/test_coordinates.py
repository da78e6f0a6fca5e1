"""Configurations as points of a flat space, and back."""

from __future__ import annotations

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution

from model.ftjnf import Size
from model.macs import Budget
from search.coordinates import Coordinates
from search.dimensions import Dimension
from search.space import Choice, Space

DIMENSIONS = (
    Dimension("alpha", (0.3, 0.5, 0.7)),
    Dimension("lr", (1e-3,)),
    Dimension("gram_form", ("positions", "exact")),
)


def space(**settings) -> Space:
    defaults = {
        "methods": ("none", "linear", "t-lstm"), "schedules": ("two-stage", "constant"), "inits": ("slice", "random"),
        "dimensions": DIMENSIONS,
    }  # fmt: skip
    return Space(Budget.parse("0.06GMAC"), **{**defaults, **settings})


def test_numbers_lie_on_a_line_words_are_categories_and_what_has_no_choice_is_not_asked_for() -> None:
    asked = Coordinates(space()).distributions()
    assert set(asked) == {"u", "v", "kd_method", "alpha_schedule", "init", "alpha", "gram_form"}
    assert asked["alpha"] == FloatDistribution(0.0, 1.0)
    assert asked["gram_form"] == CategoricalDistribution(("positions", "exact"))
    assert set(Coordinates(space(dimensions=())).distributions()) == {"u", "v", "kd_method", "alpha_schedule", "init"}


@pytest.mark.parametrize("number", [0, 1, 2])
def test_every_configuration_comes_back_from_its_point(number: int) -> None:
    some = space()
    coordinates = Coordinates(some)
    asked = coordinates.distributions()
    for choice in some.configurations():
        point = coordinates.of(choice, number)
        assert point.keys() == asked.keys()
        assert all(asked[name]._contains(asked[name].to_internal_repr(value)) for name, value in point.items())
        assert coordinates.choice(point) == choice


def test_options_have_equal_parts_of_their_line() -> None:
    coordinates = Coordinates(space())
    point = coordinates.of(Choice.of(Size(8, 4), "linear", "constant", "slice", alpha=0.3), 0)
    alphas = [coordinates.choice(point | {"alpha": step / 12}).alpha for step in range(13)]
    assert alphas == 4 * [0.3] + 4 * [0.5] + 5 * [0.7]


def test_what_means_nothing_takes_its_options_in_turn() -> None:
    coordinates = Coordinates(space())
    none = Choice.of(Size(8, 4), "none", "none", "slice")
    points = [coordinates.of(none, number) for number in range(6)]
    for name, options in {"alpha": 3, "gram_form": 2, "alpha_schedule": 2}.items():
        values = [point[name] for point in points]
        assert len(set(values[:options])) == options
        assert values[:options] * (6 // options) == values


def test_a_setting_without_a_choice_is_given_to_all() -> None:
    coordinates = Coordinates(space())
    point = coordinates.of(Choice.of(Size(8, 4), "none", "none", "slice"), 0)
    assert coordinates.choice(point).lr == 1e-3
