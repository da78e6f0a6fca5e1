"""Durations and amounts of memory as people write and read them."""

from __future__ import annotations

import math
import re

from data.errors import InputError

_SECONDS = {"s": 1, "sec": 1, "min": 60, "m": 60, "h": 3600, "d": 86400}


def parse_duration(text: str) -> float:
    """Seconds of `90s`, `12min`, `1.5h`, `2d`, or of several such parts: `1h30min`.

    Raises:
        InputError: not understood, or not above zero.
    """
    parts = re.findall(r"(\d+(?:\.\d+)?)\s*([a-zA-Z]+)", text)
    rest = re.sub(r"\d+(?:\.\d+)?\s*[a-zA-Z]+", "", text).strip()
    if not parts or rest or any(unit.lower() not in _SECONDS for _, unit in parts):
        raise InputError(f"duration {text!r} is not understood; write 90s, 12min, 1.5h or 1h30min")
    seconds = sum(float(number) * _SECONDS[unit.lower()] for number, unit in parts)
    if seconds <= 0:
        raise InputError(f"duration {text!r} must be longer than nothing; write 90s, 12min or 1.5h")
    return seconds


def duration(seconds: float) -> str:
    """`7 s`, `3 min 20 s`, `2 h 05 min`: short, for tables and progress."""
    if not math.isfinite(seconds):
        return "?"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


_BYTES = {"B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}


def parse_size(text: str) -> float:
    """Bytes of `500MB`, `20GB`, `1.5TB`; thousands, not 1024.

    Raises:
        InputError: not understood, or not above zero.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kKMGT]?B)\s*", text)
    size = float(match[1]) * _BYTES[match[2].upper()] if match else 0.0
    if size <= 0:
        raise InputError(f"size {text!r} is not understood; write 500MB, 20GB or 1.5TB")
    return size


def amount(number: float) -> str:
    """`820 B`, `12 MB`, `3.4 GB`: short, for messages."""
    name = next((name for name, least in reversed(_BYTES.items()) if number >= least), "B")
    value = number / _BYTES[name]
    return f"{value:.0f} {name}" if value >= 10 or name == "B" else f"{value:.1f} {name}"
