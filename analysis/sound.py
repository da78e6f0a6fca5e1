"""Sounds for a page: brought to one level, as FLAC, with a spectrogram as PNG."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from collections.abc import Mapping

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray

from data import RATE
from data.scene import active
from model.stft import BINS, stft

LEVEL_DBFS = -23.0
"""RMS of every sound while the clean speech is active, unless a peak would clip."""
PEAK = 0.97
SPAN_DB = 70.0
"""Decibels from the brightest to the darkest colour of a spectrogram."""
_LEVELS = 48  # shades: few compress well, and more are not told apart
_ROWS = 128

Signal = NDArray[np.float32]


def matched(sounds: Mapping[str, Signal], clean: Signal) -> tuple[dict[str, Signal], dict[str, float]]:
    """Brings sounds of one scene to the same RMS, measured where the clean speech is active.

    A louder sound is easily taken for a better one. What is left in the noisy ones is therefore heard at the level of
    speech and noise together: their speech is softer than the clean one's.

    Args:
        sounds: (N,) each, by name.
        clean: (N,) speech that says where it is active: in frames of 32 ms at most 40 dB below the loudest.

    Returns:
        The sounds at `LEVEL_DBFS`, or all of them as much softer as keeps every peak below full scale; and each one's
        gain in dB. A silent sound stays as it is.
    """
    where = active(torch.from_numpy(np.array(clean))[None])[0].numpy() > 0
    gains = {}
    for name, sound in sounds.items():
        rms = float(np.sqrt(np.mean(np.square(sound[where], dtype=np.float64)))) if where.any() else 0.0
        gains[name] = 10 ** (LEVEL_DBFS / 20) / rms if rms > 1e-6 else 1.0
    peak = max(gains[name] * float(np.max(np.abs(sound), initial=0.0)) for name, sound in sounds.items())
    softer = min(1.0, PEAK / peak) if peak > 0 else 1.0
    gains = {name: gain * softer for name, gain in gains.items()}
    louder = {name: np.asarray(gains[name] * sound, dtype=np.float32) for name, sound in sounds.items()}
    return louder, {name: float(20 * np.log10(gain)) for name, gain in gains.items()}


def flac(sound: Signal) -> bytes:
    """(N,) at 16 kHz as FLAC of 16 bits: what was scored, not what a lossy codec leaves of it."""
    stream = io.BytesIO()
    soundfile.write(stream, sound, RATE, format="FLAC", subtype="PCM_16")
    return stream.getvalue()


def spectrogram(sound: Signal, top_db: float) -> bytes:
    """The spectrogram of a sound as PNG: a column a frame of 16 ms, low frequencies below, 62.5 Hz a row.

    Args:
        sound: (N,).
        top_db: power in dB that gets the brightest colour; the darkest is `SPAN_DB` below it.
    """
    bins = _decibels(sound)[: BINS - 1]  # (256, L)
    decibels = bins.reshape(_ROWS, -1, bins.shape[1]).max(axis=1)
    shades = np.clip((decibels - top_db + SPAN_DB) / SPAN_DB, 0.0, 1.0) * (_LEVELS - 1)
    return _png(np.flipud(np.round(shades)).astype(np.uint8))


def loudest_db(sound: Signal) -> float:
    """The power in dB of the loudest bin of a sound: `top_db` for the spectrograms of its scene."""
    return float(_decibels(sound).max())


def _decibels(sound: Signal) -> NDArray[np.float64]:
    power = stft(torch.from_numpy(np.array(sound))).abs().square().numpy().astype(np.float64)
    return 10 * np.log10(np.maximum(power, 1e-12))


def data_uri(content: bytes, kind: str) -> str:
    """A file within a page, such as kind `audio/flac`."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _png(shades: NDArray[np.uint8]) -> bytes:
    """(rows, columns) of shades as PNG with a palette: half the size of what matplotlib writes."""
    rows, columns = shades.shape
    lines = b"".join(b"\0" + row.tobytes() for row in shades)

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", columns, rows, 8, 3, 0, 0, 0)
    parts = ((b"IHDR", header), (b"PLTE", _palette()), (b"IDAT", zlib.compress(lines, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(kind, content) for kind, content in parts)


def _palette() -> bytes:
    """From black over violet and orange to a pale yellow: lightness grows evenly, so that it reads in grey as well."""
    stops = np.array([[0, 0, 0], [52, 12, 92], [146, 30, 108], [226, 82, 56], [252, 176, 60], [252, 250, 200]])
    place = np.linspace(0, len(stops) - 1, _LEVELS)
    colours = np.stack([np.interp(place, np.arange(len(stops)), channel) for channel in stops.T], axis=1)
    return colours.round().astype(np.uint8).tobytes()
