"""Clips of a corpus and their division into training, validation and test."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.errors import InputError

SPLITS = ("train", "val", "test")
SHARES = {"train": 0.8, "val": 0.1, "test": 0.1}


@dataclass(frozen=True)
class Clip:
    """One audio file of a corpus.

    Attributes:
        path: the file; not yet known to exist or to be usable.
        group: what must not stand in two splits: speaker, noise recording, or room.
        split: "train", "val" or "test" where the corpus itself says so, else "".
        stratum: splits hold the same mix of these; the size class of a room, else "".
    """

    path: Path
    group: str
    split: str = ""
    stratum: str = ""


def split_clips(clips: Sequence[Clip], seed: int, groups_are: str = "groups") -> dict[str, list[Clip]]:
    """Divides clips into training, validation and test: no group in two of them, every stratum in all where it can be.

    A corpus's own splits are kept; one that it lacks is carved out of its training part. A group that the own splits
    tear apart goes whole to where most of its clips are. What is carved gets 10 % of the clips, in whole groups, so
    that a speaker with a large part of all clips stays in training. Depends on names and seed only, not on the order.

    Args:
        groups_are: what the groups are, for the message ("speakers").

    Returns:
        Clips by "train", "val" and "test", sorted, each with its split filled in.

    Raises:
        InputError: too few groups for one in every split.
    """
    clips = _whole_groups(sorted(clips, key=lambda clip: (clip.group, str(clip.path))))
    parts: dict[str, list[Clip]] = {name: [clip for clip in clips if clip.split == name] for name in SPLITS}
    pool = [clip for clip in clips if clip.split in ("", "train")]
    lacking = [name for name in SPLITS[1:] if not parts[name]]
    groups = {clip.group for clip in pool}
    if len(groups) < 1 + len(lacking):
        raise InputError(
            f"{len(groups)} {groups_are} are too few for {', '.join(['train', *lacking])} with none in two of them "
            f"(found: {', '.join(sorted(groups)[:3]) or 'none for training'}); give a corpus with at least "
            f"{1 + len(lacking)} {groups_are}"
        )
    share = sum(SHARES[name] for name in ["train", *lacking])
    where: dict[str, str] = {}
    for number, sizes in enumerate(_strata(pool)):
        rng = np.random.default_rng([seed, number])
        where |= _carve(sizes, {name: SHARES[name] / share for name in lacking}, rng)
    parts["train"] = []
    for clip in pool:
        name = where.get(clip.group, "train")
        parts[name].append(_moved(clip, name))
    return parts


def _moved(clip: Clip, split: str) -> Clip:
    return clip if clip.split == split else Clip(clip.path, clip.group, split, clip.stratum)


def _whole_groups(clips: list[Clip]) -> list[Clip]:
    votes: dict[str, Counter[str]] = defaultdict(Counter)
    for clip in clips:
        votes[clip.group][clip.split] += 1
    # Of equal counts the more held-out split wins: nothing from it may then reach training.
    order = ("", *SPLITS)
    home = {
        group: max(sorted(count, key=order.index, reverse=True), key=count.__getitem__)
        for group, count in votes.items()
    }
    return [_moved(clip, home[clip.group]) for clip in clips]


def _strata(pool: list[Clip]) -> list[dict[str, int]]:
    """Clips by group, for each stratum; strata of under three groups are put together, the rest with the largest."""
    strata: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for clip in pool:
        strata[clip.stratum][clip.group] += 1
    ordered = [strata[name] for name in sorted(strata)]
    large = [sizes for sizes in ordered if len(sizes) >= 3]
    small: dict[str, int] = {group: size for sizes in ordered if len(sizes) < 3 for group, size in sizes.items()}
    if small and len(small) < 3 and large:
        max(large, key=len).update(small)
    elif small:
        large.append(small)
    return large


def _carve(sizes: dict[str, int], shares: dict[str, float], rng: np.random.Generator) -> dict[str, str]:
    """Chooses whole groups for the held-out splits, at least one for each; the others are left out of the answer."""
    names = sorted(sizes)
    rest = [names[i] for i in rng.permutation(len(names))]
    total = sum(sizes.values())
    where: dict[str, str] = {}
    for name, share in shares.items():
        left = share * total
        chosen = []
        for group in rest:
            if sizes[group] <= left + 0.5:
                chosen.append(group)
                left -= sizes[group]
            if left < 0.5:
                break
        chosen = chosen[: max(1, len(rest) - len(shares))] or [min(rest, key=lambda group: sizes[group])]
        where |= dict.fromkeys(chosen, name)
        rest = [group for group in rest if group not in where]
    return where
