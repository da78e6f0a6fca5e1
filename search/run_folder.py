"""The folder of a search: made once, held by one session at a time, gone on with only on the data it began with."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from data.errors import InputError
from data.files import locked, read_json, write_json
from data.passwords import has_password
from search.config import SearchConfig
from search.resume import ANEW

JOURNAL = "study.journal"
"""The file that has the search's students."""


def taken(folder: Path) -> InputError:
    """What is to be said of a new search whose folder is there already."""
    return InputError(
        f"a search named {folder.name} exists at {folder}; go on with it by --resume {folder.name}, "
        "or choose another --name"
    )


class RunFolder:
    """The run folder of one session.

    Args:
        path: of the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._made = False
        self._lock = ExitStack()

    def hold(self) -> None:
        """Keeps other sessions out until `release`, or the end of the process.

        Raises:
            InputError: another session is at work.
        """
        try:
            self._lock.enter_context(locked(self.path / ".lock", wait=False))
        except BlockingIOError:
            name = self.path.name
            raise InputError(
                f"search {name} is running already, in {self.path}; wait for its end or stop it, then pass "
                f"--resume {name}"
            ) from None

    def release(self) -> None:
        """Lets others in."""
        self._lock.close()

    def make(self, config: SearchConfig, manifest: Mapping[str, Any]) -> None:
        """Makes the folder of a new search, holds it, and records what is searched on what data.

        From then on the search can be resumed. Only its owner may read `search.json` where it holds a password: that of
        the tracking store, which a resumed search needs.

        Raises:
            InputError: another search of that name has been faster.
        """
        try:
            self.path.mkdir(parents=True)
        except FileExistsError:
            raise taken(self.path) from None
        self._made = True
        self.hold()
        write_json(self.path / "data.json", manifest)
        self._record(config)

    def change(self, config: SearchConfig) -> None:
        """Records what `search.resume` lets be said anew of a search: its later sessions go by it, too."""
        stored = SearchConfig.from_dict(read_json(self.path / "search.json"))
        changed = replace(stored, **{key: getattr(config, key) for key in ANEW})
        if changed != stored:
            self._record(changed)

    def _record(self, config: SearchConfig) -> None:
        write_json(self.path / "search.json", config.to_dict(), private=has_password(config.tracking_uri))

    def check_data(self, manifest: Mapping[str, Any]) -> None:
        """Whether the data is still what the search began with: its students must be comparable with one another.

        Raises:
            InputError: it is not; says what has changed.
        """
        path = self.path / "data.json"
        if not path.exists():  # a search that was stopped before it had read any
            write_json(path, manifest)
            return
        changed = changes(read_json(path), manifest)
        if changed:
            raise InputError(
                f"search {self.path.name} cannot go on: {', '.join(changed)} changed since it began (see {path}); "
                "bring the old data back, or start a new search with --name"
            )

    def drop_unbegun(self) -> None:
        """Removes the folder if this session made it and proposed no student: nothing is lost, and the name is free."""
        if self._made and not (self.path / JOURNAL).exists():
            shutil.rmtree(self.path, ignore_errors=True)


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs between two manifests of `data.plan.Sets` in a way that changes the examples; paths do not count."""
    before, now = json.loads(json.dumps([before, now]))  # in JSON tuples are lists
    found = []
    if _get(before, "array", "positions_m") != _get(now, "array", "positions_m"):
        found.append("the positions of the microphones")
    for split, kinds in now["banks"].items():
        found += [
            f"the {kind} of {split}"
            for kind, bank in kinds.items()
            if _get(before, "banks", split, kind, "digest") != bank["digest"]
        ]
    if not found:  # else it follows
        found = [
            f"the scenes of {name} (other settings, or another version of this program)"
            for name, one in now["sets"].items()
            if _get(before, "sets", name, "digest") != one["digest"]
        ]
    return found


def _get(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value
