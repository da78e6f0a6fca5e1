"""Halving and stopping epochs against tables worked by hand (section 5.2: halve after 3, stop after 6)."""

from __future__ import annotations

import math
from dataclasses import asdict

import pytest

from model.plateau import Plateau

NAN = math.nan


@pytest.mark.parametrize(
    ("losses", "best", "factors", "stop"),
    [
        pytest.param(
            [5.0, 4.0, 4.0, 4.5, 4.0, 3.0, 3.1, 3.2, 3.3, 3.1, 3.0, 3.2],
            [1, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0],
            [1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.125],
            12,
            id="a halving, a recovery, and the end",
        ),
        pytest.param(
            [1.0, 3.0, 2.9, 2.8, 2.7, 2.6, 2.5],
            [1, 0, 0, 0, 0, 0, 0],
            [1, 1, 1, 0.5, 0.5, 0.5, 0.25],
            7,
            id="falling but never below the best",
        ),
        pytest.param(
            [9.0, 8.0, 8.0, 8.0, 7.0, 7.0, 7.0, 6.0],
            [1, 1, 0, 0, 1, 0, 0, 1],
            [1, 1, 1, 1, 1, 1, 1, 1],
            None,
            id="improvement in time starts the count anew",
        ),
        pytest.param(
            [NAN, NAN, 4.0, NAN, NAN, NAN],
            [0, 0, 1, 0, 0, 0],
            [1, 1, 1, 1, 1, 0.5],
            None,
            id="NaN is no improvement",
        ),
        pytest.param([NAN] * 6, [0] * 6, [1, 1, 0.5, 0.5, 0.5, 0.25], 6, id="NaN throughout ends too"),
    ],
)
def test_halving_and_stopping_epochs_are_those_of_the_table(losses, best, factors, stop):
    plateau = Plateau()
    for epoch, loss in enumerate(losses, start=1):
        assert not plateau.ended
        assert plateau.update(loss) == bool(best[epoch - 1]), f"epoch {epoch}"
        assert plateau.factor == factors[epoch - 1], f"epoch {epoch}"
        assert plateau.ended == (epoch == stop), f"epoch {epoch}"


def test_epochs_that_do_not_count_can_be_the_best_but_bring_no_halving_and_no_end():
    losses = [5.0, 6.0, 6.0, 4.0, 6.0, 6.0, 6.0, 6.0, 6.0, 6.0, 6.0, 6.0, 6.0, 6.0]
    best = [1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    factors = [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0.5, 0.5, 0.5, 0.25]
    plateau = Plateau()
    for epoch, loss in enumerate(losses, start=1):
        assert not plateau.ended
        assert plateau.update(loss, counts=epoch > 8) == bool(best[epoch - 1]), f"epoch {epoch}"
        assert plateau.factor == factors[epoch - 1], f"epoch {epoch}"
    assert plateau.ended, "six epochs after the eighth"


def test_other_patience_halves_and_stops_elsewhere():
    plateau = Plateau(halve_after=1, stop_after=2)
    seen = [(plateau.update(loss), plateau.factor, plateau.ended) for loss in (1.0, 1.0, 1.0)]
    assert seen == [(True, 1, False), (False, 0.5, False), (False, 0.25, True)]


def test_without_a_stop_it_never_ends():
    plateau = Plateau(stop_after=None)
    for _ in range(100):
        plateau.update(1.0)
    assert not plateau.ended


def test_counts_go_on_from_what_was_saved():
    one = Plateau()
    for loss in (2.0, 2.0, 2.0):
        one.update(loss)
    two = Plateau(**asdict(one))
    assert two.update(2.0) == one.update(2.0)
    assert (two.factor, two.since_best) == (one.factor, one.since_best) == (0.5, 3)
