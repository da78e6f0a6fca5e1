"""What the search begins with: weights whose fields and options exist, each with its source."""

from __future__ import annotations

from dataclasses import fields

import pytest

from model.distill import METHODS
from model.ftjnf import TABLE_1
from model.schedule import SCHEDULES
from search.dimensions import SETTINGS
from search.priors import FINDINGS, KD_HELPS, band, weight
from search.space import INITS, Choice


def test_findings_name_what_there_is_and_where_it_is_from() -> None:
    known = {"kd_method": METHODS, "alpha_schedule": SCHEDULES, "init": INITS}
    for finding in FINDINGS:
        assert finding.field in {field.name for field in fields(Choice)}
        assert set(finding.weights) <= set(known.get(finding.field) or SETTINGS[finding.field].words or ())
        assert all(0 < value <= 1 for value in finding.weights.values())
        assert any(word in finding.source for word in ("section", "eq.", "docs/"))
    covered = [finding for finding in FINDINGS if finding.field == "kd_method"]
    assert all(set(finding.weights) == set(METHODS) for finding in covered)


def test_kd_helps_from_size_f_on() -> None:
    assert round(KD_HELPS, 2) == 0.85
    assert weight("kd_method", "none", TABLE_1["G"]) == weight("kd_method", "linear", TABLE_1["F"]) == 1
    assert weight("kd_method", "none", TABLE_1["F"]) < 1
    assert weight("kd_method", "linear", TABLE_1["G"]) < 1


def test_slices_are_likelier_than_random_starts() -> None:
    assert weight("init", "random", TABLE_1["G"]) < weight("init", "slice", TABLE_1["G"]) == 1


def test_sizes_of_one_band_have_the_same_weights() -> None:
    assert band(TABLE_1["I"]) == band(TABLE_1["G"]) < band(TABLE_1["F"]) == band(TABLE_1["B"])


@pytest.mark.parametrize("row", "BFI")
def test_what_nothing_is_known_of_weighs_the_same(row: str) -> None:
    for field, options in {"lr": (1e-3, None), "alpha": (0.3, 0.7)}.items():
        assert {weight(field, option, TABLE_1[row]) for option in options} == {1.0}
