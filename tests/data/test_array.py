"""Arrays by name and from files. That sound reaches them when it should is tested with the scenes."""

from __future__ import annotations

import json

import numpy as np
import pytest

from data.array import ARRAYS, FRONT, Array
from data.errors import InputError


def test_array_is_read_from_a_file(tmp_path):
    path = tmp_path / "glasses.json"
    path.write_text(json.dumps([[0, 0, 0], [0.02, 0, 0], [0, 0.07, 0.01]]))
    array = Array.parse(str(path))
    assert (array.name, array.microphones, array.positions[2]) == ("glasses", 3, (0.0, 0.07, 0.01))


def test_arrays_are_the_same_where_their_microphones_are_whatever_their_names(tmp_path):
    cross = Array.parse("cross")
    (tmp_path / "mine.json").write_text(json.dumps(cross.to_dict()["positions_m"]))
    mine = Array.parse(str(tmp_path / "mine.json"))
    assert mine.name == "mine"
    assert mine.is_same(cross)
    assert not Array.parse("line").is_same(cross)
    assert not Array("cross", cross.positions[:4]).is_same(cross)
    assert not Array("cross", (*cross.positions[:4], (0.0, -0.031, 0.0))).is_same(cross)


def test_named_arrays_have_five_microphones_around_the_reference():
    for name in ARRAYS:
        positions = np.array(Array.parse(name).positions)
        assert positions.shape == (5, 3)
        assert not positions[0].any()
        np.testing.assert_allclose(positions.mean(axis=0), 0, atol=1e-12)
        assert positions[FRONT, 0] == positions[:, 0].max()


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("[[0, 0, 0]]", "at least two"),
        ("[[0, 0], [1, 0]]", "at least two"),
        ("[[0, 0, 0], [1, 0]]", "at least two"),
        ('[[0, 0, 0], ["a", 0, 0]]', "at least two"),
        ('{"x": 1}', "at least two"),
        ("[]", "at least two"),
        ("[[0, 0, 0], [NaN, 0, 0]]", "at least two"),
        ("[[0, 0, 0], [30, 0, 0]]", r"over 0\.5 m"),
        ("[[0, 0, 0], [0.4, 0.4, 0]]", r"over 0\.5 m"),
        ("[[0, 0, 0", "cannot be read as JSON"),
        ("\udcff", "cannot be read as JSON"),
    ],
)
def test_unusable_array_file_is_refused_by_name(tmp_path, content, complaint):
    path = tmp_path / "array.json"
    path.write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(InputError, match=rf"array\.json.* {complaint}"):
        Array.parse(str(path))


def test_unknown_array_name_lists_the_known_ones(tmp_path):
    for text in ("circle", str(tmp_path)):
        with pytest.raises(InputError, match="cross, line"):
            Array.parse(text)
