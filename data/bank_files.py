"""What a bank is on disk: clips decoded, joined to entries and written."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from data import RATE
from data.cores import usable_cores
from data.decode import UnusableAudio, decode
from data.errors import InputError
from data.files import file_digest, text_digest, write_json
from data.splits import Clip

VERSION = 1
"""Part of every key: raise it when the same files would be decoded, joined or stored in another way."""
GAP_SECONDS = 0.1
"""Silence between two joined clips."""


class Skipped(TypedDict):
    """A file that was left out, and why."""

    path: str
    reason: str


def write_bank(
    folder: Path,
    clips: Sequence[Clip],
    missing: Sequence[Skipped],
    kind: str,
    budget: float,
    join_to: float | None,
    progress: Callable[[float], None] | None,
) -> None:
    """Decodes clips in their order until the budget (in samples) is reached and writes audio.f32 and index.json.

    `audio.f32` holds the entries one after the other as native float32; `index.json` their places, groups and sources.

    Args:
        missing: files already known to be unusable, to be listed with those found here.

    Raises:
        InputError: not one clip is usable.
        OSError: the folder cannot be written.
    """
    skipped = list(missing)
    used: list[tuple[Clip, str]] = []
    lengths: list[int] = []
    total = 0
    decoded = folder / "audio.f32" if join_to is None else folder / "decoded.f32"
    with open(decoded, "wb") as file:
        for done, (clip, result) in enumerate(_decoded(clips, kind)):
            if isinstance(result, str):
                skipped.append({"path": str(clip.path), "reason": result})
                continue
            samples, digest = result
            file.write(samples.tobytes())
            used.append((clip, digest))
            lengths.append(len(samples))
            total += len(samples)
            if progress is not None and done % 16 == 0:
                progress(min(1.0, max(done / len(clips), total / budget)))
            if total >= budget:
                break
    if not used:
        reasons = Counter(file["reason"] for file in skipped)
        commonest = f", most often: {reasons.most_common(1)[0][0]}" if reasons else ""
        where = f" (the first: {skipped[0]['path']})" if skipped else ""
        raise InputError(
            f"none of the {len(skipped)} {kind} files of a split can be used{commonest}{where}; "
            "give a corpus with usable audio"
        )
    entries = [[i] for i in range(len(used))]
    gap = 0
    if join_to is not None:
        gap = round(GAP_SECONDS * RATE)
        entries = _joined([clip.group for clip, _ in used], lengths, round(join_to * RATE), gap)
        _copy_joined(decoded, folder / "audio.f32", entries, lengths, gap)
        decoded.unlink()
    entry_lengths = [sum(lengths[i] for i in entry) + gap * (len(entry) - 1) for entry in entries]
    groups = [used[entry[0]][0].group for entry in entries]
    content = [[group, *(used[i][1] for i in entry)] for group, entry in zip(groups, entries, strict=True)]
    write_json(
        folder / "index.json",
        {
            "kind": kind,
            "digest": text_digest([VERSION, kind, gap, content]),
            "groups": groups,
            "offsets": np.cumsum([0, *entry_lengths[:-1]]).tolist(),
            "lengths": entry_lengths,
            "sources": [[str(used[i][0].path) for i in entry] for entry in entries],
            "skipped": skipped,
        },
    )
    if progress is not None:
        progress(1.0)


def _decoded(clips: Sequence[Clip], kind: str) -> Iterator[tuple[Clip, tuple[NDArray[np.float32], str] | str]]:
    """Each clip in order with its samples and the hash of its file, or with the reason why it has none.

    Threads serve as well as processes: decoder, resampler and hash release the interpreter lock while they work, and
    no samples have to be sent from process to process.
    """

    def one(clip: Clip) -> tuple[NDArray[np.float32], str] | str:
        try:
            return decode(clip.path, kind), file_digest(clip.path)
        except UnusableAudio as unusable:
            return unusable.reason
        except OSError:
            return "unreadable file"

    workers = usable_cores()
    with ThreadPoolExecutor(workers) as pool:
        ahead: deque[tuple[Clip, Future[tuple[NDArray[np.float32], str] | str]]] = deque()
        try:
            for clip in clips:
                ahead.append((clip, pool.submit(one, clip)))
                if len(ahead) > 4 * workers:  # decoded clips that wait to be written stay few
                    first, future = ahead.popleft()
                    yield first, future.result()
            for first, future in ahead:
                yield first, future.result()
        finally:
            for _, future in ahead:
                future.cancel()


def _joined(groups: Sequence[str], lengths: Sequence[int], shortest: int, gap: int) -> list[list[int]]:
    """Which clips make up each entry, so that as few entries as can be are shorter than `shortest` samples."""
    by_group: dict[str, list[int]] = defaultdict(list)
    for i, group in enumerate(groups):
        by_group[group].append(i)
    entries: list[list[int]] = []
    for members in by_group.values():
        whole = [[i] for i in members if lengths[i] >= shortest]
        collected: list[int] = []
        filled = -gap
        for i in members:
            if lengths[i] >= shortest:
                continue
            collected.append(i)
            filled += gap + lengths[i]
            if filled >= shortest:
                whole.append(collected)
                collected, filled = [], -gap
        if collected and whole:
            whole[-1].extend(collected)
        elif collected:
            whole.append(collected)
        entries += whole
    return entries


def _copy_joined(
    source: Path, target: Path, entries: Sequence[Sequence[int]], lengths: Sequence[int], gap: int
) -> None:
    samples = np.memmap(source, dtype=np.float32, mode="r")
    starts = np.cumsum([0, *lengths])
    silence = np.zeros(gap, dtype=np.float32).tobytes()
    with open(target, "wb") as file:
        for entry in entries:
            for place, i in enumerate(entry):
                if place:
                    file.write(silence)
                file.write(samples[starts[i] : starts[i + 1]].tobytes())
