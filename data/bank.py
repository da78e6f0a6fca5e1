"""Decoded audio of one split in one memory-mapped file, made once and shared by everything that reads it."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data import RATE
from data.bank_files import VERSION, Skipped, Source, write_bank
from data.errors import InputError
from data.files import making, read_json, text_digest
from data.splits import Clip


@dataclass(frozen=True)
class Bank:
    """Entries of mono audio at 16 kHz, each one clip or several of one group joined.

    Sent to another process it travels as its folder's name, not as its samples.

    Attributes:
        folder: where it lies.
        kind: "speech", "noise" or "rir".
        groups: speaker, recording or room of each entry.
        offsets, lengths: place of each entry in the flat file, in samples.
        sources: the files of each entry.
        sha256: of each of these files.
        seconds: length of all entries.
        digest: hash of the sound files' content, of their groups and of how they are joined; not of their names.
        skipped: the files that could not be used.
        cut: the files of which only the beginning is used, as they are longer than `data.decode.LONGEST_SECONDS`.
    """

    folder: Path
    kind: str
    groups: list[str]
    offsets: NDArray[np.int64]
    lengths: NDArray[np.int64]
    sources: list[list[str]]
    sha256: list[list[str]]
    seconds: float
    digest: str
    skipped: list[Skipped]
    cut: list[str]
    audio: NDArray[np.float32] = field(repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.groups)

    def samples(self, index: int) -> NDArray[np.float32]:
        """The samples (N,) of one entry: a read-only view of the file, not a copy."""
        start = int(self.offsets[index])
        return self.audio[start : start + int(self.lengths[index])]

    def manifest(self) -> dict[str, Any]:
        """What a run records of the bank: kind, counts, seconds, digest, the skipped files and those cut short."""
        return {
            "kind": self.kind,
            "clips": sum(len(sources) for sources in self.sources),
            "entries": len(self),
            "groups": len(set(self.groups)),
            "seconds": round(self.seconds, 3),
            "digest": self.digest,
            "skipped": len(self.skipped),
            "skipped_files": list(self.skipped),
            "cut": len(self.cut),
            "cut_files": list(self.cut),
        }

    def files(self) -> list[Source]:
        """The files that are used, each with its group and the SHA-256 of its content, in the order of the entries."""
        return [
            {"path": path, "group": group, "sha256": digest}
            for group, paths, digests in zip(self.groups, self.sources, self.sha256, strict=True)
            for path, digest in zip(paths, digests, strict=True)
        ]

    def __reduce__(self) -> tuple[Callable[[Path], Bank], tuple[Path]]:
        return open_bank, (self.folder,)


def open_bank(folder: Path) -> Bank:
    """Opens a bank that `build_bank` wrote.

    Raises:
        InputError: no bank there, or a damaged one.
    """
    folder = Path(folder)
    index = read_json(folder / "index.json")
    path = folder / "audio.f32"
    try:
        lengths = np.asarray(index["lengths"], dtype=np.int64)
        offsets = np.asarray(index["offsets"], dtype=np.int64)
        if path.stat().st_size != 4 * int(lengths.sum()):
            raise ValueError("wrong size")
        return Bank(
            folder,
            index["kind"],
            index["groups"],
            offsets,
            lengths,
            index["sources"],
            index["sha256"],
            float(lengths.sum()) / RATE,
            index["digest"],
            index["skipped"],
            index["cut"],
            np.memmap(path, dtype=np.float32, mode="r"),
        )
    except (OSError, KeyError, TypeError, ValueError):
        raise InputError(f"{folder} holds no whole bank of decoded audio; delete it to have it made anew") from None


def build_bank(
    clips: Sequence[Clip],
    folder: Path,
    kind: str,
    *,
    hours: float | None = None,
    join_to: float | None = None,
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
) -> Bank:
    """Decodes clips of one split into a bank, or opens the one that was made of the same files in the same way.

    It is kept in a sub-folder that is named by a key over the files (path, size, time of change), their groups and all
    settings, so that a changed file or setting never meets old audio.

    Args:
        clips: the clips of one split, in any order.
        folder: where banks are kept.
        kind: "speech", "noise" or "rir"; decides how a file is checked.
        hours: at most this much is decoded, of clips in a seeded random order; None decodes all.
        join_to: seconds; a shorter clip is joined with other short ones of its group, with 0.1 s of silence between,
            until the entry is this long. What is left of a group goes to its last entry; only a group with less than
            this altogether keeps a shorter one. None keeps every clip as an entry of its own.
        seed: of the order.
        progress: called with the finished share, 0 to 1, now and then.

    Raises:
        InputError: no usable file among the clips, or the folder cannot be written.
    """
    if hours is not None and not (math.isfinite(hours) and hours > 0):
        raise InputError(f"{hours} hours of {kind} cannot be decoded; give a number above 0")
    budget = math.inf if hours is None else hours * 3600 * RATE
    chosen, stamps, missing = _examine(clips, budget, seed)
    root = Path(folder)
    key = text_digest([VERSION, kind, hours, join_to, seed, stamps])
    place = root / f"{kind}-{key}"
    if place.exists():
        try:
            return open_bank(place)
        except InputError:  # damaged: this folder is ours to make anew
            shutil.rmtree(place, ignore_errors=True)
    try:
        with making(place) as made:
            write_bank(made, chosen, missing, kind, clips[0].split if clips else "", budget, join_to, progress)
            try:
                made.rename(place)
            except OSError:
                if not place.exists():
                    raise
                # Another process made the same bank meanwhile: its content is equal, ours is dropped.
    except OSError as error:
        raise InputError(
            f"decoded audio cannot be written to {root} ({error}); give a writable folder with enough room as cache"
        ) from None
    return open_bank(place)


def _examine(clips: Sequence[Clip], budget: float, seed: int) -> tuple[list[Clip], list[list[Any]], list[Skipped]]:
    """The clips that may be needed, in the seeded order, what identifies their content, and those without a file.

    A corpus can list a million clips, so only as many files are looked at as fill the budget at half a second each.
    """
    ordered = sorted(clips, key=lambda clip: (clip.group, str(clip.path)))
    enough = math.inf if math.isinf(budget) else 2 * budget / RATE + 100
    chosen: list[Clip] = []
    stamps: list[list[Any]] = []
    missing: list[Skipped] = []
    for i in np.random.default_rng(seed).permutation(len(ordered)):
        clip = ordered[i]
        try:
            status = clip.path.stat()
        except OSError:
            missing.append({"path": str(clip.path), "reason": "file missing"})
            continue
        chosen.append(clip)
        stamps.append([str(clip.path), status.st_size, status.st_mtime_ns, clip.group])
        if len(chosen) >= enough:
            break
    return chosen, stamps, missing
