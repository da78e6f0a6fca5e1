"""One audio file to mono samples at 16 kHz, or the reason why it cannot be used."""

from __future__ import annotations

from itertools import compress
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from data import RATE

LONGEST_SECONDS = 1800
"""Only this much of a longer recording is read: an hours-long file must not fill the memory."""
SHORTEST_SPEECH_SECONDS = 0.25
"""Shorter speech is left out: neither PESQ nor STOI can score it."""
SILENT_PEAK = 1e-3
"""A peak below this (-60 dBFS) is silence: scaled up to a level in use it would be quantisation noise."""
SILENT_RMS = 1e-4
"""An rms below this (-80 dBFS) is silence with a click in it."""
CLIPPED_SHARE = 0.05
"""A file is clipped flat when more than this share of its samples stands at the extreme value, in runs."""
CLIPPED_RUN = 3
"""Shortest run of samples at the extreme value that counts as clipping; a clean peak touches it once or twice."""


class UnusableAudio(Exception):  # noqa: N818 - it names what the file is
    """A file that is skipped and counted, never fatal by itself.

    Args:
        reason: a few words that hold for many files, so that they can be counted: "silent", "undecodable".
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def decode(path: Path, kind: str = "speech") -> NDArray[np.float32]:
    """Reads a wav, flac, mp3 or ogg file of any rate and channel count.

    The rate and the length are those of the decoder, not of a table beside the file. Channels are averaged, silent ones
    left out; of a room response the first channel is taken: averaging microphones at different places would comb-filter
    it.

    Args:
        kind: "speech" and "noise" are checked for silence and flat clipping, "speech" also for being too short, "rir"
            only for being all zero.

    Returns:
        (N,) mono samples at 16 kHz, full scale 1; at most the first `LONGEST_SECONDS`, see `is_cut`.

    Raises:
        UnusableAudio: missing, undecodable, empty, not finite, silent, clipped flat or too short.
    """
    samples, rate = _read(Path(path))
    if samples.shape[0] == 0:
        raise UnusableAudio("empty")
    if not np.isfinite(samples).all():
        raise UnusableAudio("NaN or infinite samples")
    if kind == "rir":
        mono = samples[:, 0]
        if not mono.any():
            raise UnusableAudio("all zero")
        return _resample(mono, rate)
    # Before resampling, whose ringing hides the flat tops; silence first, because digital zero is flat as well.
    heard = np.array([not _is_silent(channel) for channel in samples.T])
    if not heard.any():
        raise UnusableAudio("silent")
    if any(_clipped_share(channel) > CLIPPED_SHARE for channel in compress(samples.T, heard)):
        raise UnusableAudio("clipped flat")
    mono = _resample(samples @ (heard / heard.sum()).astype(np.float32), rate)
    if _is_silent(mono):  # again: opposite channels cancel, and sound above 8 kHz is gone
        raise UnusableAudio("silent")
    if kind == "speech" and len(mono) < SHORTEST_SPEECH_SECONDS * RATE:
        raise UnusableAudio("too short")
    return mono


def is_cut(path: Path, samples: NDArray[np.float32]) -> bool:
    """Whether a file goes on after the `samples` that `decode` gave of it, because it is longer than `LONGEST_SECONDS`.

    The file is opened only if the samples reach that length.
    """
    if len(samples) < LONGEST_SECONDS * RATE - 1:  # a resampler may round down
        return False
    with soundfile.SoundFile(path) as file:
        return bool(file.frames > LONGEST_SECONDS * file.samplerate)


def _read(path: Path) -> tuple[NDArray[np.float32], int]:
    """Samples (N, channels) and their rate in Hz."""
    try:
        if path.stat().st_size == 0:
            raise UnusableAudio("empty")
        with soundfile.SoundFile(path) as file:
            rate = int(file.samplerate)
            return file.read(LONGEST_SECONDS * rate, dtype="float32", always_2d=True), rate
    except FileNotFoundError:
        raise UnusableAudio("file missing") from None
    except OSError:
        raise UnusableAudio("unreadable file") from None
    # RuntimeError covers libsndfile's own errors; the others are what a lying header leads to.
    except (RuntimeError, ValueError, MemoryError):
        raise UnusableAudio("undecodable") from None


def _resample(mono: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    if rate != RATE:
        mono = soxr.resample(mono, rate, RATE, quality="HQ")
    if len(mono) == 0:
        raise UnusableAudio("empty")
    return np.ascontiguousarray(mono, dtype=np.float32)


def _is_silent(channel: NDArray[np.float32]) -> bool:
    quiet = max(channel.max(), -channel.min()) < SILENT_PEAK
    return bool(quiet or np.dot(channel, channel) < SILENT_RMS**2 * len(channel))


def _clipped_share(channel: NDArray[np.float32]) -> float:
    """Share of the samples that stand in runs at the extreme value, positive or negative."""
    magnitude = np.abs(channel)
    extreme = np.concatenate(([False], magnitude >= 0.999 * magnitude.max(), [False]))
    edges = np.flatnonzero(extreme[1:] != extreme[:-1])
    runs = edges[1::2] - edges[::2]
    return float(runs[runs >= CLIPPED_RUN].sum() / len(channel))
