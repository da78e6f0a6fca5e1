"""Recorded curves: a file of them grows, holds each training once, and never mixes data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.curve import Curve, add_curves, read_curves, repeats, usual, usual_settings
from data.errors import InputError


def test_a_curve_comes_back_from_its_line(make_curve):
    made = make_curve([1.1, 1.2, None], repeat=1)
    assert Curve.parse(made.line()) == made


def test_only_what_is_new_is_appended_and_the_rest_stays_byte_for_byte(tmp_path: Path, make_curve):
    path = tmp_path / "curves.jsonl"
    assert add_curves(path, [make_curve([1.1, 1.2]), make_curve([1.1, 1.2])]) == 1
    before = path.read_bytes()
    assert (
        add_curves(path, [make_curve([1.1, 1.2]), make_curve([1.3, 1.2], repeat=1), make_curve([1.1, 1.2], lr=5e-4)])
        == 2
    )
    assert path.read_bytes().startswith(before)
    assert add_curves(path, read_curves(path)) == 0


@pytest.mark.parametrize(
    "other", [{"data": {"train": "a", "val": "b", "score_val": "z"}}, {"teacher": {"digest": "u", "size": "128/32"}}]
)
def test_other_data_or_another_teacher_is_refused_and_nothing_written(tmp_path: Path, other: dict, make_curve):
    path = tmp_path / "curves.jsonl"
    add_curves(path, [make_curve([1.1])])
    before = path.read_bytes()
    with pytest.raises(InputError, match="--out"):
        add_curves(path, [make_curve([1.2], repeat=1), replace(make_curve([1.3], repeat=2), **other)])
    assert path.read_bytes() == before


def test_a_broken_line_is_named(tmp_path: Path, make_curve):
    path = tmp_path / "curves.jsonl"
    path.write_text(make_curve([1.1]).line() + '\n{"choice": 3}\n', encoding="utf-8")
    with pytest.raises(InputError, match="line 2"):
        read_curves(path)


def test_the_last_stage_leaves_stage_1_out_and_has_the_final_score_where_the_kept_weights_come_from(make_curve):
    found = make_curve([1.1, None, None], soft=2, best=4).last_stage
    np.testing.assert_array_equal(found, [1.1, 1.5, np.nan])


def test_repeats_are_of_one_configuration(make_curve):
    groups = repeats(
        [
            make_curve([1.1]),
            make_curve([1.2], repeat=1),
            make_curve([1.2], precision="fp32"),
            make_curve([1.2], method="multi"),
            make_curve([1.2], method="multi", schedule="cosine", repeat=1),
            make_curve([1.2], batch=8),
        ]
    )
    assert [len(group) for group in groups.values()] == [2, 1, 1, 1, 1]


def test_usual_are_the_settings_of_most_and_kd_in_two_stages(make_curve):
    curves = [make_curve([1.1], repeat=i, lr=4e-3) for i in range(3)]
    others = [make_curve([1.1]), make_curve([1.1], method="linear", schedule="cosine", lr=4e-3)]
    assert usual_settings([*others, *curves])["lr"] == 4e-3
    assert usual([*others, *curves]) == curves
    assert usual([]) == []
