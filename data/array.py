"""Microphone arrays: where the microphones are, and when a source's sound reaches them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data import RATE
from data.errors import InputError
from data.files import read_json

SPEED_OF_SOUND = 343.0
"""In m/s, at 20 degrees Celsius."""
DISTANCE = 5.0
"""Of the sources from the centre of the array, in m."""
FRONT = 1
"""Index of the front microphone, where the SNR is defined."""

ARRAYS: Mapping[str, tuple[tuple[float, float, float], ...]] = {
    # centre, front, left, back, right; x points to the front, y to the left, z up; in m
    "cross": ((0.0, 0.0, 0.0), (0.03, 0.0, 0.0), (0.0, 0.03, 0.0), (-0.03, 0.0, 0.0), (0.0, -0.03, 0.0)),
    "line": ((0.0, 0.0, 0.0), (0.03, 0.0, 0.0), (0.015, 0.0, 0.0), (-0.015, 0.0, 0.0), (-0.03, 0.0, 0.0)),
}
"""Named geometries: `cross`, the default, 3 cm from the centre to each side; `line`, an end-fire line of 6 cm."""


@dataclass(frozen=True)
class Array:
    """A microphone array; microphone 0 is the reference, microphone 1 the front one.

    Args:
        name: how it is called in reports.
        positions: (M, 3) coordinates in m, x to the front, y to the left, z up.
    """

    name: str
    positions: tuple[tuple[float, float, float], ...]

    @property
    def microphones(self) -> int:
        """M."""
        return len(self.positions)

    @classmethod
    def parse(cls, text: str) -> Array:
        """A named geometry, or a JSON file holding a list of [x, y, z] in m, the reference first, the front one second.

        Raises:
            InputError: neither a name nor a usable file.
        """
        if text in ARRAYS:
            return cls(text, ARRAYS[text])
        path = Path(text)
        if not path.is_file():
            raise InputError(
                f"array {text!r} is neither one of {', '.join(ARRAYS)} nor a JSON file of [x, y, z] in metres"
            )
        try:
            positions = np.asarray(read_json(path), dtype=float)
        except (TypeError, ValueError):
            positions = np.empty(0)
        if positions.ndim != 2 or positions.shape[1] != 3 or len(positions) < 2 or not np.isfinite(positions).all():
            raise InputError(
                f"array file {path} must hold a list of at least two [x, y, z] in metres; mend it or use a name"
            )
        if np.linalg.norm(positions, axis=1).max() > 0.5:
            raise InputError(
                f"array file {path} has a microphone over 0.5 m from the centre; coordinates are in metres"
            )
        return cls(path.stem, tuple((float(x), float(y), float(z)) for x, y, z in positions))

    def to_dict(self) -> dict[str, Any]:
        """As JSON-serialisable values, for recipes."""
        return {"name": self.name, "positions_m": self.positions}

    def is_same(self, other: Array) -> bool:
        """Whether the microphones stand at the same places, to 0.01 mm, whatever the names."""
        mine, theirs = np.asarray(self.positions), np.asarray(other.positions)
        return mine.shape == theirs.shape and bool(np.allclose(mine, theirs, rtol=0, atol=1e-5))

    def delays(self, azimuth: float, elevation: float) -> NDArray[np.float64]:
        """Arrival times at the microphones relative to the reference, (M,), in samples; earlier is negative.

        Args:
            azimuth: of the source in degrees, 0 to the front, positive to the left.
            elevation: of the source in degrees, positive upwards.
        """
        a, e = np.radians(azimuth), np.radians(elevation)
        source = DISTANCE * np.array([np.cos(a) * np.cos(e), np.sin(a) * np.cos(e), np.sin(e)])
        distances = np.linalg.norm(source - np.asarray(self.positions), axis=1)
        return (distances - distances[0]) / SPEED_OF_SOUND * RATE
