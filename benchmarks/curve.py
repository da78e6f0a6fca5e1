"""Recorded learning curves: one line of JSON a student, and what a set of them must have in common."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.errors import InputError
from data.files import text_digest, write_atomic
from model.macs import paper_gmac
from search.space import Choice

RECORDED = Path(__file__).parent / "curves" / "demo.jsonl"
"""The curves that this project recorded."""

DRAWS = 4000
"""Resamples of bootstrap intervals."""

SETTINGS = ("lr", "batch", "precision", "lr_schedule")
"""Of a training; those of most curves are the usual ones, others were recorded to compare with them."""


@dataclass(frozen=True)
class Curve:
    """One student that was trained and scored.

    Args:
        choice: its configuration, `repeat` included.
        train: settings of its training: `epochs` a stage, `lr`, `batch`, `precision`, `lr_schedule` and the others.
        seed: of its training.
        data: digests of the sets `train`, `val` and `score_val`.
        teacher: `digest` and `size` (F/T); None without one.
        epochs: a mapping an epoch: `epoch` and `epoch_in_stage` from 1, `stage`, `alpha`, `loss_val_hard`,
            `loss_val_soft`, `pesq` and `pesq_by_snr` (-5 to 15 dB), None where that was not computed.
        best_epoch: the epoch whose weights were kept, by validation loss.
        pesq: validation PESQ of these weights.
        clips: (clips, SNRs) their PESQ, None where it could not be computed.
        beside: validation PESQ of the `unprocessed` input, `delay-and-sum` and the `teacher`.
        made: `torch` version and `cpu` model.
    """

    choice: Choice
    train: dict[str, Any]
    seed: int
    data: dict[str, str]
    teacher: dict[str, str] | None
    epochs: list[dict[str, Any]]
    best_epoch: int
    pesq: float
    clips: list[list[float | None]]
    beside: dict[str, float | None]
    made: dict[str, str]

    @property
    def key(self) -> str:
        """What is one training: two lines with the same key tell of the same one."""
        return text_digest([vars(self.choice), self.train, self.seed, self.data])

    @property
    def configuration(self) -> tuple[Any, ...]:
        """What repeats share: all of the choice but `repeat`, the epochs a stage, and `SETTINGS`."""
        return (replace(self.choice, repeat=0), *(self.train[name] for name in ("epochs", *SETTINGS)))

    @property
    def gmac(self) -> float:
        """Cost on the paper's axis."""
        return paper_gmac(self.choice.size)

    @property
    def plain(self) -> bool:
        """Whether it was trained without KD or by the paper's two stages, and has no settings of its own."""
        given = Choice.of(self.choice.size, self.choice.kd_method, "two-stage", self.choice.init, self.choice.repeat)
        return given == self.choice

    def has(self, settings: Mapping[str, Any]) -> bool:
        """Whether it was trained by these settings."""
        return all(self.train[name] == value for name, value in settings.items())

    @cached_property
    def last_stage(self) -> NDArray[np.float64]:
        """(epochs of the last stage,) validation PESQ after each, NaN where the network was not scored.

        The last stage is where the output is judged: stage 1 of two-stage KD may leave the output untrained. A search
        scores its kept weights once more at the end, so the epoch that they come from has a score in any case.
        """
        last = self.epochs[-1]["stage"]
        values = [
            self.pesq if one["epoch"] == self.best_epoch else one["pesq"]
            for one in self.epochs
            if one["stage"] == last
        ]  # fmt: skip
        return np.array([np.nan if value is None else value for value in values])

    @property
    def first_stage(self) -> NDArray[np.float64]:
        """(epochs of the stages before the last,) validation PESQ after each, NaN where the network was not scored."""
        last = self.epochs[-1]["stage"]
        values = [one["pesq"] for one in self.epochs if one["stage"] != last]
        return np.array([np.nan if value is None else value for value in values], np.float64)

    @property
    def table(self) -> NDArray[np.float64]:
        """(clips, SNRs) PESQ of the kept weights, NaN where it could not be computed."""
        return np.array([[np.nan if value is None else value for value in row] for row in self.clips])

    @cached_property
    def redrawn(self) -> NDArray[np.float64]:
        """(DRAWS,) PESQ over clips drawn with replacement: the same draws for all curves of as many clips.

        Of a clip that could not be scored at some SNR, that SNR is left out, as in `analysis.front.pesq_summary`.
        """
        table = self.table
        drawn = np.random.default_rng(0).integers(0, len(table), (DRAWS, len(table)))
        median = np.nanmedian if np.isnan(table).any() else np.median  # the former takes ten times as long
        return median(table[drawn], axis=1).mean(axis=1)

    def line(self) -> str:
        """The curve as one line of JSON, without its end."""
        return json.dumps(vars_of(self), separators=(",", ":"))

    @classmethod
    def parse(cls, line: str) -> Curve:
        """Reads what `line` wrote.

        Raises:
            ValueError, KeyError, TypeError: it is something else.
        """
        values = json.loads(line)
        return cls(**values | {"choice": Choice(**values["choice"])})


def vars_of(curve: Curve) -> dict[str, Any]:
    """The fields of a curve as JSON has them."""
    names = Curve.__dataclass_fields__
    return {name: getattr(curve, name) for name in names} | {"choice": vars(curve.choice)}


def usual_settings(curves: Sequence[Curve]) -> dict[str, Any]:
    """`SETTINGS` of most of the curves, of which there must be one."""
    counted = Counter(tuple(curve.train[name] for name in SETTINGS) for curve in curves)
    return dict(zip(SETTINGS, counted.most_common(1)[0][0], strict=True))


def usual(curves: Sequence[Curve]) -> list[Curve]:
    """The plain curves of the settings that most of them have: what replay and the fitted surface are made of."""
    return [curve for curve in curves if curve.plain and curve.has(usual_settings(curves))] if curves else []


def read_curves(path: Path = RECORDED) -> list[Curve]:
    """The curves of a file, in its order.

    Raises:
        InputError: the file is missing, or a line in it is no curve.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; record curves first: python benchmarks/record.py RUN") from None
    curves = []
    for number, line in enumerate(lines, 1):
        try:
            curves.append(Curve.parse(line))
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"line {number} of {path} is no recorded curve ({error}); restore it from a copy"
            ) from None
    return curves


def add_curves(path: Path, found: Iterable[Curve]) -> int:
    """Appends the curves that are not in a file yet, and returns how many these were.

    Raises:
        InputError: a curve is of other data or of another teacher than those in the file, with which it cannot be
            compared.
    """
    curves = read_curves(path) if path.exists() else []
    known = {curve.key for curve in curves}
    before = len(curves)
    for curve in found:
        if curves and (curve.data, curve.teacher) != (curves[0].data, curves[0].teacher):
            raise InputError(
                f"the student {curve.choice.key()} learnt from other data or another teacher than those in {path} "
                f"({curve.data}, {curve.teacher}); record it into a file of its own with --out"
            )
        if curve.key not in known:
            known.add(curve.key)
            curves.append(curve)
    if len(curves) > before:
        write_atomic(path, "".join(f"{curve.line()}\n" for curve in curves))
    return len(curves) - before


def repeats(curves: Sequence[Curve]) -> dict[tuple[Any, ...], list[Curve]]:
    """The curves by configuration."""
    groups: dict[tuple[Any, ...], list[Curve]] = {}
    for curve in curves:
        groups.setdefault(curve.configuration, []).append(curve)
    return groups
