"""Three corpora as banks of decoded audio: speech, noise and room responses for training, validation and test."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, zip_longest
from pathlib import Path

import numpy as np

from data.bank import Bank, build_bank
from data.corpora import read_noise, read_rirs, read_speech
from data.splits import SPLITS, Clip, split_clips


@dataclass(frozen=True)
class Banks:
    """What the scenes of one split are made of.

    `listed` tells by kind ("speech", "noise", "rirs") how many files the corpus has for the split, used or not.
    """

    speech: Bank
    noise: Bank
    rirs: Bank
    listed: Mapping[str, int] = field(default_factory=dict)


def load_corpora(
    speech: Path,
    noise: Path,
    rirs: Path,
    cache: Path,
    *,
    hours: Mapping[str, float] | None = None,
    responses: Mapping[str, int] | None = None,
    clip_seconds: float = 4.0,
    seed: int = 0,
    progress: Callable[[str, float], None] | None = None,
) -> dict[str, Banks]:
    """Reads, splits and decodes the three corpora, each once for the same folders and settings.

    Args:
        speech, noise, rirs: folders as `data.corpora` reads them.
        cache: where the banks are kept.
        hours: most hours of speech, and as much of noise, by split; None decodes everything.
        responses: most room responses, by split; None decodes all.
        clip_seconds: speech for training that is shorter is joined with the same speaker's other clips up to this
            length; validation and test speech keeps its own length.
        progress: called with what is being decoded ("train speech") and the finished share, 0 to 1.

    Returns:
        Banks by "train", "val" and "test"; no speaker, noise recording or room stands in two of them.

    Raises:
        InputError: a folder that cannot be read as its corpus, too few groups to split, nothing usable in a split.
    """
    parts = {
        "speech": split_clips(read_speech(speech), seed, "speakers"),
        "noise": split_clips(read_noise(noise), seed, "noise recordings (names that differ only in a last _N are one)"),
        "rir": split_clips(read_rirs(rirs), seed, "rooms"),
    }

    def bank(split: str, kind: str) -> Bank:
        clips = parts[kind][split]
        return build_bank(
            some_responses(clips, responses[split], seed) if responses is not None and kind == "rir" else clips,
            cache,
            kind,
            hours=hours[split] if hours is not None and kind != "rir" else None,
            join_to=clip_seconds if kind == "speech" and split == "train" else None,
            seed=seed,
            progress=None if progress is None else lambda share: progress(f"{split} {kind}", share),
        )

    def banks(split: str) -> Banks:
        listed = {kind.replace("rir", "rirs"): len(clips[split]) for kind, clips in parts.items()}
        return Banks(bank(split, "speech"), bank(split, "noise"), bank(split, "rir"), listed)

    return {split: banks(split) for split in SPLITS}


def some_responses(clips: Sequence[Clip], most: int, seed: int) -> list[Clip]:
    """A seeded sample of at most so many room responses, taken evenly of as many rooms as leave two to each.

    Two, because a scene takes two responses of one room.
    """
    if len(clips) <= most:
        return list(clips)
    rng = np.random.default_rng(seed)
    rooms: dict[str, list[Clip]] = defaultdict(list)
    for clip in sorted(clips, key=lambda clip: (clip.group, str(clip.path))):
        rooms[clip.group].append(clip)
    names = sorted(rooms)
    chosen = [rooms[names[i]] for i in rng.permutation(len(names))[: max(1, most // 2)]]
    shuffled = [[room[i] for i in rng.permutation(len(room))] for room in chosen]
    return [clip for clip in chain.from_iterable(zip_longest(*shuffled)) if clip is not None][:most]
