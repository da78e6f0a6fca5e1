"""Which test scenes are worth hearing, and what is heard of each."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from analysis.sound import data_uri, flac, loudest_db, matched, spectrogram
from data import RATE
from data.errors import InputError
from data.examples import ExampleSet
from data.files import read_json
from model.score import Enhancer

MOST_WORSE = 3
"""Scenes in which a student is worse than the input that are heard; all of them are counted."""
HEARD_SECONDS = 480.0
"""Seconds of sound on a page, all scenes and tracks together: about 10 MB as FLAC in text."""
EXCERPT_SECONDS = (2.0, 8.0)
"""The shortest and the longest excerpt of a scene."""

Table = NDArray[np.float64]


@dataclass(frozen=True)
class TestScores:
    """PESQ of every test clip at every SNR, as `test_scores.json` in a run folder has it.

    Args:
        digest: of the test set.
        snrs_db: columns of the tables.
        beside: (clips, SNRs) by "unprocessed", "delay-and-sum" and, where there is one, "teacher"; NaN unscored.
        students: likewise, by number: every seed of every configuration that has been on the front.
    """

    __test__ = False  # to pytest: no test

    digest: str
    snrs_db: list[float]
    beside: dict[str, Table]
    students: dict[int, Table]

    @classmethod
    def read(cls, folder: Path) -> TestScores:
        """Of a run folder.

        Raises:
            InputError: it has none, or what it has cannot be used.
        """
        path = folder / "test_scores.json"
        if not path.is_file():
            raise InputError(
                f"{folder} has no test scores by clip; let the search end, with --resume if it was stopped"
            )
        content = read_json(path)
        try:
            beside = {name: _table(rows) for name, rows in content["beside"].items()}
            students = {int(number): _table(rows) for number, rows in content["students"].items()}
            scores = cls(content["set"], [float(snr) for snr in content["snrs_db"]], beside, students)
            shape = beside["unprocessed"].shape
            if shape[1] != len(scores.snrs_db) or any(one.shape != shape for one in (beside | students).values()):
                raise ValueError("tables of different sizes")
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise InputError(f"{path} holds no test scores ({error!r}); restore it from a copy") from None
        return scores

    def of(self, students: Collection[int]) -> TestScores:
        """The same scores of fewer students.

        Args:
            students: numbers of those to keep.
        """
        return replace(self, students={number: table for number, table in self.students.items() if number in students})

    def losses(self) -> dict[int, Table]:
        """PESQ by which each student is worse than the input, (clips, SNRs); negative where it is better."""
        return {number: self.beside["unprocessed"] - table for number, table in self.students.items()}


@dataclass(frozen=True)
class Pick:
    """A scene to be heard.

    Args:
        clip, column: its row and column in the tables of scores.
        why: in words.
        worse: the students that are worse than the input there, and by how much PESQ; the worst first.
    """

    clip: int
    column: int
    why: str
    worse: dict[int, float]


def picks(scores: TestScores, most_worse: int = MOST_WORSE) -> list[Pick]:
    """The scenes to be heard: where a student is most below the input, then the noisiest, a typical and the cleanest.

    The noisiest is the one of lowest unprocessed PESQ at the lowest SNR, the cleanest that of the highest at the
    highest SNR, the typical one that nearest to the median of the middle SNR. Of one clip only its worst scene is among
    those below the input.

    Args:
        scores: of the search.
        most_worse: scenes of the first kind at most.
    """
    noisy = scores.beside["unprocessed"]
    losses = scores.losses()
    found: list[Pick] = []

    def add(clip: int, column: int, why: str) -> None:
        if not any((pick.clip, pick.column) == (clip, column) for pick in found):
            here = {number: float(loss[clip, column]) for number, loss in losses.items() if loss[clip, column] > 0}
            found.append(Pick(clip, column, why, dict(sorted(here.items(), key=lambda pair: -pair[1]))))

    if losses:
        deepest = np.fmax.reduce(list(losses.values()))
        order = np.argsort(-np.where(np.isnan(deepest), -np.inf, deepest), axis=None, kind="stable")
        for flat in order:
            clip, column = (int(i) for i in np.unravel_index(flat, deepest.shape))
            if len(found) == most_worse or not deepest[clip, column] > 0:
                break
            if all(pick.clip != clip for pick in found):
                add(clip, column, "a student is below the input here")
    by_snr = np.argsort(scores.snrs_db)
    lowest, middle, highest = (int(by_snr[i]) for i in (0, len(by_snr) // 2, -1))
    for column, rank, why in (
        (lowest, lambda column: column, "the noisiest: the lowest unprocessed PESQ at the lowest SNR"),
        (middle, lambda column: np.abs(column - np.nanmedian(column)), "a typical one: unprocessed PESQ nearest to the "
         "median at the middle SNR"),
        (highest, lambda column: -column, "the cleanest: the highest unprocessed PESQ at the highest SNR"),
    ):  # fmt: skip
        values = noisy[:, column]
        if np.isfinite(values).any():
            add(int(np.nanargmin(rank(values))), column, why)
    return found


def heard(
    examples: ExampleSet, scores: TestScores, chosen: Sequence[Pick], enhancers: Mapping[str, Enhancer]
) -> list[dict[str, Any]]:
    """The scenes as a page holds them: level-matched sounds and spectrograms, with the score of each.

    Args:
        examples: the test set of the scores.
        scores: of the search.
        chosen: the scenes.
        enhancers: by "unprocessed", "delay-and-sum", "teacher" and the numbers of students as text, in the order in
            which they are heard; the clean speech comes last.

    Raises:
        InputError: the scores are of another set.
    """
    if examples.digest != scores.digest:
        raise InputError("the test scenes are others than those that were scored: the corpora or the settings changed")
    tracks = max(1, len(chosen) * (len(enhancers) + 1))
    shortest, longest = EXCERPT_SECONDS
    excerpt = round(RATE * min(longest, max(shortest, HEARD_SECONDS / tracks)))
    return [_scene(examples, scores, pick, enhancers, excerpt) for pick in chosen]


def _scene(
    examples: ExampleSet, scores: TestScores, pick: Pick, enhancers: Mapping[str, Enhancer], excerpt: int
) -> dict[str, Any]:
    index = pick.clip * len(scores.snrs_db) + pick.column
    noisy, clean = examples.batch([index])
    with torch.inference_mode():
        sounds = {name: enhance(noisy)[0].numpy() for name, enhance in enhancers.items()}
    sounds["clean"] = clean[0].numpy()
    whole = noisy.shape[-1]
    sounds = {name: sound[:excerpt] for name, sound in sounds.items()}
    sounds, gains = matched(sounds, sounds["clean"])
    top = loudest_db(sounds["clean"])
    tracks = []
    for name, sound in sounds.items():
        table = scores.students.get(int(name)) if name.isdigit() else scores.beside.get(name)
        value = math.nan if table is None else float(table[pick.clip, pick.column])
        tracks.append(
            {
                "name": name,
                "pesq": value if math.isfinite(value) else None,
                "gain_db": round(gains[name], 1),
                "audio": data_uri(flac(sound), "audio/flac"),
                "spectrogram": data_uri(spectrogram(sound, top), "image/png"),
            }
        )
    return {
        "clip": pick.clip,
        "snr_db": scores.snrs_db[pick.column],
        "why": pick.why,
        "worse": {str(number): loss for number, loss in pick.worse.items()},
        "seconds": min(whole, excerpt) / RATE,
        "of_seconds": whole / RATE,
        "tracks": tracks,
    }


def _table(rows: list[list[float | None]]) -> Table:
    return np.array([[math.nan if value is None else value for value in row] for row in rows], dtype=np.float64)
