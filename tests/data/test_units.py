from __future__ import annotations

import math

import pytest

from data.errors import InputError
from data.units import amount, duration, parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("12min", 720),
        ("12 min", 720),
        ("12m", 720),
        ("1.5h", 5400),
        ("2d", 172_800),
        ("1h30min", 5400),
        ("1H 30Min", 5400),
        ("0.5s", 0.5),
    ],
)
def test_duration_is_read(text, seconds):
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", "12", "min", "-5min", "1h30", "5 weeks", "1h, 2min", "1e3s", "nan s", "inf h", "5 s?"]
)
def test_duration_that_is_not_understood_is_refused_with_examples(text):
    with pytest.raises(InputError, match=r"duration .* is not understood; write 90s, 12min"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["0s", "0h0min", "0.0 d"])
def test_duration_of_nothing_is_refused(text):
    with pytest.raises(InputError, match="longer than nothing"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (7.4, "7 s"),
        (59.6, "1 min 00 s"),
        (200, "3 min 20 s"),
        (3599.7, "1 h 00 min"),
        (7500, "2 h 05 min"),
        (100_000, "27 h 46 min"),
        (math.inf, "?"),
        (math.nan, "?"),
    ],
)
def test_duration_is_written_short(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("text", "size"), [("500MB", 5e8), ("20 GB", 2e10), ("1.5TB", 1.5e12), ("80B", 80), ("3kB", 3e3)]
)
def test_size_is_read(text, size):
    assert parse_size(text) == pytest.approx(size)


@pytest.mark.parametrize("text", ["", "20", "GB", "-1GB", "0MB", "1 GiB", "nan GB", "1e3 MB"])
def test_size_that_is_not_understood_is_refused_with_examples(text):
    with pytest.raises(InputError, match="is not understood; write 500MB, 20GB"):
        parse_size(text)


@pytest.mark.parametrize(
    ("number", "text"), [(820, "820 B"), (12.3e6, "12 MB"), (3.44e9, "3.4 GB"), (0, "0 B"), (2e12, "2.0 TB")]
)
def test_amount_is_short(number, text):
    assert amount(number) == text
