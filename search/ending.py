"""How a search ended, in files of its folder."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from data.errors import InputError
from data.files import plain, read_json, write_json
from search.beside import Beside
from search.config import SearchConfig
from search.stopping import Ended, told

Apart = tuple[float, float, float]


@dataclass(frozen=True)
class Ending:
    """How a search ended.

    Args:
        ended: what ended it.
        words: the same in words.
        repeats: trainings by other seeds that the front had at the end.
        apart: see `search.final.ends_apart`.
        trials: students that it could have had at most.
        begun: trainings that it had begun, repeats included: later ones have this number or a larger one.
        since: number of the first training that counts for patience.
        cut: trainings that the time had cut short, as they stood at the end.
    """

    ended: Ended
    words: str
    repeats: int
    apart: Apart | None
    trials: int = 0
    begun: int = 0
    since: int = 0
    cut: int = 0

    @classmethod
    def of(
        cls, ended: Ended, config: SearchConfig, repeats: int, apart: Apart | None, begun: int, since: int, cut: int
    ) -> Ending:
        """That of a session."""
        words = told(ended, trials=config.trials, patience=config.patience)
        return cls(ended, words, repeats, apart, config.trials, begun, since, cut)

    @classmethod
    def read(cls, folder: Path) -> Ending | None:
        """That of the last session that came to its end; None if there is none, or another version's."""
        try:
            values = read_json(folder / "ending.json")
            return cls(**(values | {"apart": None if values["apart"] is None else tuple(values["apart"])}))
        except (InputError, KeyError, TypeError):
            return None

    def write(self, folder: Path) -> None:
        """Writes `ending.json` into the run folder."""
        write_json(folder / "ending.json", plain(asdict(self)))


def read_beside(folder: Path) -> Beside | None:
    """What an ended session has scored beside the students; None if there is none, or another version's."""
    try:
        values: dict[str, Any] = read_json(folder / "beside.json")
        return Beside(**values) if values["val"] and values["test"] else None
    except (InputError, KeyError, TypeError):
        return None
