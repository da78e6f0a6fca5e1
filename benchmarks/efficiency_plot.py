"""The figures of `search_efficiency.py`: hypervolume against trials and against epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from analysis.canvas import bottom_legend, new_figure, save
from benchmarks.simulator import Point

LOOKS: tuple[tuple[str, Any], ...] = (
    ("#0B5FA5", "-"), ("#0B5FA5", "--"), ("#0B5FA5", ":"), ("#5DA5DA", "-"),  # ours
    ("#2E8B57", "-"), ("#777777", "-"), ("#777777", "--"), ("#BBBBBB", "-"), ("#8C6D31", "-"),
    ("#C44E52", "-"), ("#C44E52", "--"), ("#8172B2", "-"),  # Ray's
)  # fmt: skip
"""Colour and dash of a line, in the order of `search_efficiency.METHODS`."""


def plot(found: Mapping[str, Sequence[Sequence[Point]]], surface: str, trials: int, folder: Path) -> None:
    """Draws `search-trials.png` and `search-epochs.png`: a line a method, the median over seeds, and a band between the
    quartiles.

    Args:
        found: by method the points of each seed.
        surface: its name and the epochs of a stage, for the title.
        trials: where the axis of trials ends.
        folder: where the figures go.
    """
    most = float(np.median([one[-1].epochs for one in next(iter(found.values()))]))
    ends = {"trials": np.arange(1, trials + 1, dtype=np.float64), "epochs": np.linspace(0, most, 200)}
    for axis, grid in ends.items():
        figure, axes = new_figure(
            f"How much of the front is found after so many {axis}",
            f"simulated on a surface ({surface} a stage); the median over seeds, and the band between the quartiles\n"
            "the front is chosen by noisy scores and valued by the true means",
        )
        handles = []
        for i, (method, seeds) in enumerate(found.items()):
            colour, dash = LOOKS[i % len(LOOKS)]
            low, middle, high = np.quantile([_steps(points, axis, grid) for points in seeds], (0.25, 0.5, 0.75), axis=0)
            axes.fill_between(grid, low, high, color=colour, alpha=0.12, linewidth=0)
            axes.plot(grid, middle, color=colour, linestyle=dash, linewidth=1.4)
            handles.append(Line2D([], [], color=colour, linestyle=dash, label=method))
        axes.set_xlim(0, grid[-1])
        axes.set_ylim(0, 1.02)
        axes.set_xlabel(f"{axis} of all students together" if axis == "epochs" else "trials that have ended or wait")
        axes.set_ylabel("hypervolume, share of the best possible")
        bottom_legend(figure, handles)
        save(figure, folder / f"search-{axis}.png")


def _steps(points: Sequence[Point], axis: str, grid: NDArray[np.float64]) -> NDArray[np.float64]:
    """The hypervolume at each place of the axis."""
    places = np.array([getattr(one, axis) for one in points])
    volumes = np.array([0.0, *(one.volume for one in points)])
    return volumes[np.searchsorted(places, grid, side="right")]
