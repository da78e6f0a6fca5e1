from __future__ import annotations

import math

import numpy as np
import pytest

from data.errors import InputError
from model.distill import METHODS
from model.ftjnf import TABLE_1, Size
from model.macs import Budget, paper_gmac
from search.dimensions import Dimension
from search.space import Choice, Space, paper_sizes, parse_sizes


def space(budget: str = "1.0GMAC", **settings) -> Space:
    defaults = {"methods": ("none", "linear", "t-lstm"), "schedules": ("two-stage", "cosine"), "inits": ("slice",)}
    return Space(Budget.parse(budget), **{**defaults, **settings})


def test_sizes_are_read_from_text_once_each() -> None:
    assert parse_sizes("64/16, 80/32,64/16,E") == (Size(64, 16), Size(80, 32))
    assert parse_sizes("64/16bi", microphones=3) == (Size(64, 16, bi_freq=True, microphones=3),)


@pytest.mark.parametrize("text", ["", ",", "64x16", "64/16;80/32", "64", "0/16", "a/b", "64/-16"])
def test_bad_sizes_are_refused_in_one_sentence(text: str) -> None:
    with pytest.raises(InputError) as error:
        parse_sizes(text)
    assert "\n" not in str(error.value)


def test_bad_sizes_are_refused_with_an_example() -> None:
    with pytest.raises(InputError, match=r"64x16.*80/32"):
        parse_sizes("64x16")


@pytest.mark.parametrize("budget", ["0.024GMAC", "0.1GMAC", "1.0GMAC", "0.694GMAC/s", "11.1MMAC/frame", "40GMAC"])
def test_feasible_sizes_are_exactly_those_within_the_budget_the_cheapest_first(budget: str) -> None:
    sizes = space(budget).feasible()
    allows = Budget.parse(budget).allows
    assert set(sizes) == {size for f in range(8, 513, 8) for t in range(4, 129, 4) if allows(size := Size(f, t))}
    costs = [paper_gmac(size) for size in sizes]
    assert costs == sorted(costs)


def test_sizes_below_row_i_are_feasible() -> None:
    assert paper_gmac(space().feasible()[0]) < 0.1 * paper_gmac(TABLE_1["I"])


def test_a_budget_below_the_smallest_size_names_that_size_and_its_cost_in_all_units() -> None:
    with pytest.raises(InputError, match=r"0.01GMAC.*8/4.*0.0239 GMAC = 0.0125 GMAC/s = 0.199 MMAC/frame"):
        space("0.01GMAC")


def test_a_named_size_above_the_budget_is_refused_with_its_cost() -> None:
    with pytest.raises(InputError, match=r"size 80/32 costs 1.11 GMAC.*above the budget of 1.0GMAC"):
        space(sizes=parse_sizes("64/16,80/32"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"methods": ()}, "no methods"),
        ({"schedules": ()}, "no schedules"),
        ({"inits": ()}, "no inits"),
        ({"methods": ("linear", "linear")}, "twice"),
        ({"methods": ("linaer",)}, "'linaer' is none of the methods; choose from none, mask, linear"),
        ({"schedules": ("slow",)}, "'slow' is none of the schedules; choose from two-stage"),
        ({"inits": ("warm",)}, "'warm' is none of the inits; choose from slice, random"),
    ],
)
def test_what_cannot_be_chosen_from_is_refused(settings: dict[str, tuple[str, ...]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        space(**settings)


def test_schedules_do_not_multiply_the_method_none() -> None:
    two = space(sizes=parse_sizes("64/16,72/24"), inits=("slice", "random"))
    assert two.count() == 2 * 2 * (1 + 2 + 2)


@pytest.mark.parametrize("inits", [("slice",), ("slice", "random")])
def test_every_configuration_is_listed_once_and_counted(inits: tuple[str, ...]) -> None:
    for some in (space("0.3GMAC", inits=inits), space(methods=("none",), schedules=(), inits=inits)):
        configurations = list(some.configurations())
        assert len(set(configurations)) == len(configurations) == some.count()


def test_positions_run_along_the_cost_and_name_the_nearest_size() -> None:
    some = space()
    positions = [some.position(size) for size in some.feasible()]
    assert [u for u, _ in positions] == sorted(u for u, _ in positions)
    assert positions[0][0] == 0
    assert positions[-1][0] == 1
    assert [some.nearest(u, v) for u, v in positions] == some.feasible()
    assert some.nearest(u=0.99, v=0.77) == Size(80, 24)


def test_one_size_alone_has_a_position() -> None:
    one = space(sizes=(Size(64, 16),))
    assert one.nearest(*one.position(Size(64, 16))) == Size(64, 16)


@pytest.mark.parametrize("budget", ["0.3GMAC", "1.0GMAC", "3GMAC", "40GMAC"])
def test_stratified_start_spreads_over_log_macs_up_to_both_ends(budget: str) -> None:
    some = space(budget)
    sizes = some.stratified_start(10)
    assert len(set(sizes)) == 10
    assert set(sizes) <= set(some.feasible())
    logs = [math.log(paper_gmac(size)) for size in sizes]
    low, high = (math.log(paper_gmac(some.feasible()[end])) for end in (0, -1))
    assert logs[0] <= low + math.log(1.05)
    assert logs[-1] >= high - math.log(1.05)
    step = (high - low) / 9
    # the few sizes at the cheap end cannot be at equal steps; from three steps on they must be
    for i in range(3, 10):
        assert abs(logs[i] - (low + i * step)) < step


def test_stratified_start_takes_splits_as_in_table_1() -> None:
    for size in space("40GMAC").stratified_start(10)[3:]:
        assert 0.2 <= size.t_hidden / size.f_hidden <= 0.5


def test_stratified_start_of_few_or_named_sizes_is_all_of_them() -> None:
    assert space("0.05GMAC").stratified_start(10) == space("0.05GMAC").feasible()
    named = space(sizes=parse_sizes("8/4,72/24,64/16"))
    assert named.stratified_start(2) == [Size(8, 4), Size(64, 16), Size(72, 24)]


def test_stratified_start_of_one_size_is_the_largest() -> None:
    assert space().stratified_start(1) == [Size(80, 24)]


VARIED = (
    Dimension("alpha", (0.3, 0.5, 0.7)),
    Dimension("ramp", (0.25, 0.5)),
    Dimension("soft_share", (0.25, 0.5)),
    Dimension("lr", (5e-4, 1e-3)),
    Dimension("gram_normalise", ("plain", "cosine")),
)


def varied(**settings) -> Space:
    schedules = ("two-stage", "constant", "linear", "cosine")
    return space("0.05GMAC", methods=("none", "linear", "t-lstm"), schedules=schedules, dimensions=VARIED, **settings)


@pytest.mark.parametrize("settings", [{}, {"inits": ("slice", "random"), "repeats": 2}])
def test_dimensions_multiply_what_heeds_them_and_every_configuration_has_an_index(settings: dict) -> None:
    some = varied(**settings)
    # by hand: none 2 lr; linear 2 lr x (2 shares + 3 alphas + 2 + 2 ramps); t-lstm the same by 2 normalisations
    recipes = 2 + 2 * 9 + 2 * 9 * 2
    listed = list(some.configurations())
    assert some.count() == len(listed) == len(set(listed))
    assert some.count() == len(some.feasible()) * recipes * len(some.inits) * some.repeats
    assert [some.configuration(index) for index in range(some.count())] == listed


def test_millions_of_configurations_are_counted_and_drawn_from_without_a_list(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    some = space("40GMAC", dimensions=(Dimension("lr", tuple(i / 1000 for i in range(1, 1000))),))
    assert some.count() > 5_000_000

    def listed(self: Space) -> None:
        raise AssertionError("they were listed")

    monkeypatch.setattr(Space, "configurations", listed)
    rng = np.random.default_rng(0)
    tried: set[Choice] = set()
    for _ in range(50):
        choice = some.untried(tried, rng)
        assert choice is not None
        assert choice not in tried
        tried.add(choice)


def test_untried_ones_are_found_to_the_last_and_then_there_are_none() -> None:
    some, rng = space("0.05GMAC"), np.random.default_rng(0)
    tried: set[Choice] = set()
    while (choice := some.untried(tried, rng)) is not None:
        assert choice not in tried
        tried.add(choice)
    assert tried == set(some.configurations())


def test_prior_of_kd_turns_at_size_f_and_can_be_switched_off() -> None:
    some = space("40GMAC", methods=tuple(METHODS))

    def prior(size: Size, method: str, schedule: str = "two-stage") -> float:
        return some.prior(Choice.of(size, method, schedule, "slice"))

    for name in ("A", "D", "E", "F"):
        assert prior(TABLE_1[name], "linear") == prior(TABLE_1[name], "multi") > prior(TABLE_1[name], "none")
    for name in ("G", "H", "I"):
        assert prior(TABLE_1[name], "linear") == prior(TABLE_1[name], "t-lstm") < prior(TABLE_1[name], "none")
    for row in TABLE_1.values():
        assert 0 < prior(row, "f-lstm") < prior(row, "mask") < prior(row, "t-lstm")
        assert prior(row, "linear", "cosine") < prior(row, "linear")
    flat = space(methods=tuple(METHODS), priors="none")
    assert {flat.prior(choice) for choice in flat.configurations()} == {1.0}


def test_axes_of_the_grid_can_be_given() -> None:
    some = space(f_hidden=(16, 20), t_hidden=(5,))
    assert some.feasible() == [Size(16, 5), Size(20, 5)]


def test_one_dimension_twice_is_refused() -> None:
    with pytest.raises(InputError, match="lr, lr name one twice"):
        space(dimensions=(Dimension("lr", (1e-3,)), Dimension("lr", (1e-4,))))


def test_paper_sizes_are_the_rows_of_table_1_within_the_budget_but_the_teacher() -> None:
    assert paper_sizes(Budget.parse("1.0GMAC")) == tuple(TABLE_1[name] for name in "FGHI")
    assert paper_sizes(Budget.parse("100GMAC"), 3)[0] == Size(256, 64, microphones=3)
    with pytest.raises(InputError, match=r"none fits the budget of 0.1GMAC.*48/8.*--sizes"):
        paper_sizes(Budget.parse("0.1GMAC"))
