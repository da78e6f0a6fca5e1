"""Three corpora as banks of decoded audio: speech, noise and room responses for training, validation and test."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from data.bank import Bank, build_bank
from data.corpora import read_noise, read_rirs, read_speech
from data.splits import SPLITS, split_clips


@dataclass(frozen=True)
class Banks:
    """What the scenes of one split are made of."""

    speech: Bank
    noise: Bank
    rirs: Bank


def load_corpora(
    speech: Path,
    noise: Path,
    rirs: Path,
    cache: Path,
    *,
    hours: Mapping[str, float] | None = None,
    clip_seconds: float = 4.0,
    seed: int = 0,
    progress: Callable[[str, float], None] | None = None,
) -> dict[str, Banks]:
    """Reads, splits and decodes the three corpora, each once for the same folders and settings.

    Args:
        speech, noise, rirs: folders as `data.corpora` reads them.
        cache: where the banks are kept.
        hours: most hours of speech, and as much of noise, by split; None decodes everything. Room responses are all
            decoded: they are short.
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
        return build_bank(
            parts[kind][split],
            cache,
            kind,
            hours=hours[split] if hours is not None and kind != "rir" else None,
            join_to=clip_seconds if kind == "speech" and split == "train" else None,
            seed=seed,
            progress=None if progress is None else lambda share: progress(f"{split} {kind}", share),
        )

    return {split: Banks(bank(split, "speech"), bank(split, "noise"), bank(split, "rir")) for split in SPLITS}
