"""Settings that a search may vary: what means something where, and what can be an option."""

from __future__ import annotations

from dataclasses import fields

import pytest

from data.errors import InputError
from model.distill import METHODS
from model.ftjnf import Size
from model.schedule import SCHEDULES
from model.train_config import TrainConfig
from search.dimensions import SETTINGS, Dimension
from search.space import Choice


def test_settings_are_fields_of_a_choice_that_are_none_by_default() -> None:
    optional = {field.name for field in fields(Choice) if field.default is None}
    assert optional == set(SETTINGS)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_setting_is_heeded_exactly_where_it_changes_the_training(method: str, schedule: str) -> None:
    """Of the Gram loss the stages say nothing: there the method's layers decide."""
    base = TrainConfig(Size(8, 4), epochs=10)
    plain = TrainConfig(Size(8, 4), method, schedule, epochs=10)
    changes = {"alpha": 0.3, "ramp": 0.2, "soft_share": 0.3}
    for name, value in changes.items():
        changed = TrainConfig(Size(8, 4), method, schedule, epochs=10, **{name: value})
        heeded = Dimension(name, (value,)).heeded(method, schedule)
        assert heeded == (changed.stages != plain.stages)
        choice = Choice.of(Size(8, 4), method, schedule, "random", **{name: value})
        assert choice.training(base).stages == changed.stages
    grams = any(comparison == "gram" for _, comparison in METHODS[method].layers)
    assert Dimension("gram_form", ("bin",)).heeded(method, schedule) == grams
    assert Dimension("lr", (1e-3,)).heeded(method, schedule)


def test_numbers_are_sorted_and_words_keep_their_order() -> None:
    assert Dimension("alpha", (0.7, 0.3)).options == (0.3, 0.7)
    assert Dimension("gram_form", ("positions", "exact")).options == ("positions", "exact")
    assert Dimension("alpha", (0.7, 0.3)).ordered
    assert not Dimension("gram_form", ("exact",)).ordered
    assert Dimension("lr", (1e-3, 5e-4)).told() == "lr 0.0005, 0.001"


@pytest.mark.parametrize(
    ("name", "options", "complaint"),
    [
        ("alpha", (0.3, 1.0), r"alpha cannot be 1.0: .* between 0 and 1"),
        ("alpha", (0.0,), "alpha cannot be 0.0"),
        ("alpha", (float("nan"),), "alpha cannot be nan"),
        ("alpha", (True,), "alpha cannot be True"),
        ("ramp", (1.5,), r"ramp cannot be 1.5: .* at most 1"),
        ("soft_share", (1.0,), "soft_share cannot be 1.0"),
        ("lr", (0.0,), "lr cannot be 0.0"),
        ("lr", ("fast",), "lr cannot be 'fast'"),
        ("gram_form", ("whole",), r"gram_form cannot be 'whole': .* choose from positions, exact, frame, bin"),
        ("gram_normalise", (0.3,), r"gram_normalise cannot be 0.3.*plain, cosine"),
        ("alpha", (), "alpha has no options"),
        ("lr", (1e-3, 0.001), "names an option twice"),
        ("colour", ("red",), "'colour' cannot be varied; choose from alpha, ramp"),
    ],
)
def test_what_cannot_be_an_option_is_refused_in_one_sentence(name: str, options: tuple, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint) as error:
        Dimension(name, options)
    assert "\n" not in str(error.value)


def test_the_end_of_a_range_that_is_within_is_taken() -> None:
    assert Dimension("ramp", (1,)).options == (1.0,)
