"""What of the teacher's outputs is stored: as much as fits, and never more."""

from __future__ import annotations

import pytest

from model.distill import METHODS
from model.ftjnf import Size
from model.target_plan import POSITION_SETS, WHOLE, TargetPlan, example_bytes, layers_of, plan_targets

ALL = tuple(METHODS)
A = Size(512, 128)
FRAMES = 251
"""Of a clip of 4 s."""


def plan(limit: float, methods=ALL, train: int = 1000, val: int = 100, **other) -> TargetPlan:
    return plan_targets(A, methods, 1024, FRAMES, train, val, limit, **other)


@pytest.mark.parametrize(
    ("methods", "layers"),
    [
        ([], ()),
        (["none"], ()),
        (["mask"], ("linear",)),
        (["linear", "mask", "none"], ("linear",)),
        (["t-lstm"], ("t_lstm",)),
        (["linear", "f-lstm"], ("f_lstm", "linear")),
        (["multi"], ("f_lstm", "t_lstm", "linear")),
        (ALL, ("f_lstm", "t_lstm", "linear")),
    ],
)
def test_layers_are_those_that_the_methods_compare(methods, layers):
    assert layers_of(methods) == layers


def test_clip_takes_what_the_documentation_says():
    assert example_bytes(A, ["linear"], FRAMES, 1024, 4) == pytest.approx(0.26e6, rel=0.02)
    assert example_bytes(A, ["t_lstm"], FRAMES, 1024, 1) == pytest.approx(0.26e6, rel=0.05)
    assert example_bytes(A, ["f_lstm"], FRAMES, 1024, 1) == pytest.approx(1.05e6, rel=0.02)


def test_everything_is_stored_where_it_fits():
    roomy = plan(1e12)
    assert (roomy.layers, roomy.position_sets, roomy.cycle) == (WHOLE.layers, POSITION_SETS, None)
    assert all(roomy.shapes(method) == {} for method in ALL), "no student is another one than with unlimited space"
    one = example_bytes(A, WHOLE.layers, FRAMES, 1024, 1)
    assert roomy.bytes == 1000 * example_bytes(A, WHOLE.layers, FRAMES, 1024, POSITION_SETS) + 100 * one


@pytest.mark.parametrize("fresh", [None, 200])
def test_training_and_validation_together_stay_within_the_limit_and_more_of_it_holds_more(fresh):
    plans = [plan(limit, fresh_epochs=fresh) for limit in range(0, 10**10, 10**8)]
    assert all(one.bytes <= 10**8 * number for number, one in enumerate(plans))
    held = [(len(one.layers), one.cycle or 200 if fresh else one.position_sets) for one in plans]
    assert [layers for layers, _ in held] == sorted(layers for layers, _ in held)
    assert {layers for layers, _ in held} == {0, 1, 2, 3}
    for layers in (1, 2, 3):
        draws = [draw for number, draw in held if number == layers]
        assert draws == sorted(draws)


def test_cheap_layers_come_first_and_positions_take_fewer_turns_before_one_is_given_up():
    tight = plan(plan(1e12).bytes / 4)
    assert tight.layers == ("t_lstm", "linear")
    assert tight.holds("linear")
    assert tight.holds("t-lstm")
    assert tight.holds("none")
    assert not tight.holds("multi")
    some = plan(plan(1e12).bytes / 2)
    assert some.layers == WHOLE.layers
    assert some.position_sets == 1
    assert some.shapes("t-lstm") == {"targets_position_sets": 1}
    assert some.shapes("linear") == {}, "the linear layer is stored whole"
    assert tight.shapes("f-lstm") == {"targets_stored": 0}


def test_no_room_for_the_cheapest_layer_stores_nothing():
    assert plan(1e6) == TargetPlan(())
    assert plan(1e12, methods=("none",)) == TargetPlan(())


def test_fresh_scenes_come_again_where_not_all_their_epochs_fit():
    one = plan(1e12, fresh_epochs=1).bytes
    assert plan(1e12, fresh_epochs=3).cycle is None
    assert plan(2.5 * one, fresh_epochs=200).cycle == 2
    assert plan(2.5 * one, fresh_epochs=200).shapes("none") == {"targets_cycle": 2}, "all students hear the same scenes"
    less = plan(0.9 * one, fresh_epochs=200)
    assert (less.layers, less.cycle) == (("t_lstm", "linear"), 2)
    assert plan(1e6, fresh_epochs=200) == TargetPlan(()), "scenes that are not stored need not come again"
