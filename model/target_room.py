"""Room on disk for the teacher's outputs: what earlier searches left is dropped, what somebody uses is not."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Container
from contextlib import ExitStack, suppress
from pathlib import Path

from data.files import locked

DROPPED = ".dropped-"
"""Begins the names under which folders are deleted: nobody looks for targets there."""


def _mark(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.used")


def in_use(folder: Path) -> ExitStack:
    """Marks a folder of targets as in use, be it there already or not: `drop_oldest` leaves it alone.

    Args:
        folder: in a cache of targets.

    Returns:
        What holds the mark until it is closed or forgotten; at the latest it ends with the process.
    """
    mark = ExitStack()
    with suppress(OSError):  # where nothing can be written there is nothing to be dropped
        mark.enter_context(locked(_mark(Path(folder)), shared=True))
    return mark


def drop_oldest(cache: Path, wanted: float, limit: float, mine: Container[Path] = ()) -> None:
    """Makes room in a cache of targets, by dropping those that were written longest ago and that nobody uses.

    Args:
        cache: folder of the targets, of fixed sets and of fresh scenes.
        wanted: bytes that a search's own targets take once they are whole.
        limit: most bytes in the folder.
        mine: folders of that search, there or not.
    """
    for left in Path(cache).glob(f"{DROPPED}*"):  # of somebody who was killed, or whose files were still open on NFS
        shutil.rmtree(left, ignore_errors=True)
    others: list[tuple[float, int, Path]] = []
    for kind in ("targets-*", "fresh-*"):
        for folder in Path(cache).glob(kind):
            with suppress(FileNotFoundError):  # another search drops it at this moment
                if folder not in mine and folder.is_dir():
                    others.append((folder.stat().st_mtime, _bytes_in(folder), folder))
    total = wanted + sum(size for _, size, _ in others)
    for _, size, folder in sorted(others):
        if total <= limit:
            return
        with suppress(OSError), locked(_mark(folder), wait=False):  # in use, or of another user
            drop(folder)
            total -= size


def drop(folder: Path) -> None:
    """Deletes a folder under another name: whenever it is cut off, none is left that looks like targets and is not.

    Args:
        folder: in a cache of targets. What cannot be deleted now is left to the next `drop_oldest`.

    Raises:
        OSError: it is another user's.
    """
    outer = Path(tempfile.mkdtemp(dir=folder.parent, prefix=DROPPED))
    try:
        folder.rename(outer / folder.name)
    finally:
        shutil.rmtree(outer, ignore_errors=True)


def _bytes_in(folder: Path) -> int:
    """Bytes of the files in a folder, in which others may be writing."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                total += (Path(place) / name).stat().st_size
    return total
