"""A surface held at the edge of what was recorded: beyond it a formula is no evidence, and may promise anything."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from benchmarks.surface import Floats, Surface, split
from model.ftjnf import Size
from model.macs import paper_gmac
from search.space import F_HIDDEN, T_HIDDEN, Choice


class HeldSurface:
    """Sizes outside of the recorded ones' hull score as the nearest inside: of the nearest cost, then of the nearest
    split. The rest is the surface's.

    Args:
        surface: what is held; within the hull it answers.
        longest: epochs a stage of the longest training that will be asked for. It may be longer than the recorded ones.
    """

    def __init__(self, surface: Surface) -> None:
        self._surface = surface
        grid = [Size(f, t) for f in F_HIDDEN for t in T_HIDDEN]
        self._inside = [size for size in grid if not surface.extrapolates(size)]
        self._points = np.array([_point(size) for size in self._inside])
        self._nearest = cache(self._find)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._surface, name)

    def mean(self, size: Size, method: str, init: str, epoch: int, epochs: int) -> float:
        """See `PesqSurface.mean`."""
        return self._surface.mean(self._nearest(size), method, init, epoch, epochs)

    def first(self, size: Size, method: str, init: str, epoch: int, epochs: int) -> float:
        """See `PesqSurface.first`."""
        return self._surface.first(self._nearest(size), method, init, epoch, epochs)

    def draw(self, choice: Choice, epochs: int, rng: np.random.Generator) -> Floats:
        """See `PesqSurface.draw`."""
        size = self._nearest(choice.size)
        held = Choice.of(size, choice.kd_method, choice.alpha_schedule, choice.init)
        return self._surface.draw(held, epochs, rng)

    def _find(self, size: Size) -> Size:
        if not self._surface.extrapolates(size):
            return size
        away = np.abs(self._points - _point(size))
        return self._inside[int(np.argmin(5 * away[:, 0] + away[:, 1]))]


def _point(size: Size) -> tuple[float, float]:
    return float(np.log10(paper_gmac(size))), split(size)
