"""Test scores of a search by clip, in a file of its folder: what was scored once is not scored again."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.errors import InputError
from data.files import plain, read_json, write_json
from data.scene import SNRS_DB
from model.score import Scores

MEASURES = {"si_sdr": "SI-SDR", "estoi": "ESTOI"}


class StoredScores:
    """`test_scores.json` in the run folder.

    It has PESQ of each test clip at each SNR, null where it has none, of the students by number (`students`) and of
    what stands beside them (`beside`); the other measures and the digests of the weights in `more`.

    Args:
        folder: of the run.
        digest: of the test set. Scores of another one are forgotten.
    """

    def __init__(self, folder: Path, digest: str) -> None:
        self._path = folder / "test_scores.json"
        self._content: dict[str, Any] = {"set": digest, "snrs_db": list(SNRS_DB)}
        self._content |= {"beside": {}, "students": {}, "more": {}}
        try:
            earlier = read_json(self._path)
            if earlier["set"] == digest and earlier.keys() >= self._content.keys():
                self._content = earlier
        except (InputError, KeyError, TypeError, AttributeError):  # none, or another version's
            pass

    def get(self, what: int | str, weights: str | None = None) -> Scores | None:
        """Scores of a student by number, if these are the weights that have them, or of what stands beside them."""
        part = self._content["students" if isinstance(what, int) else "beside"]
        more = self._content["more"].get(str(what), {})
        if str(what) not in part or more.get("weights_sha256") != weights:
            return None
        others = [None if more.get(name) is None else _array(more[name]) for name in MEASURES]
        return Scores(_array(part[str(what)]), *others)

    def put(self, what: int | str, scores: Scores, weights: str | None = None) -> None:
        """Keeps scores; `write` writes them."""
        self._content["students" if isinstance(what, int) else "beside"][str(what)] = plain(scores.pesq.tolist())
        tables = {name: getattr(scores, name) for name in MEASURES}
        lists = {name: None if table is None else plain(table.tolist()) for name, table in tables.items()}
        self._content["more"][str(what)] = {"weights_sha256": weights} | lists

    def write(self) -> None:
        """Writes the file."""
        write_json(self._path, self._content)


def _array(table: list[list[float | None]]) -> NDArray[np.float64]:
    return np.array([[math.nan if value is None else value for value in row] for row in table], dtype=np.float64)
