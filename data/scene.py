"""Five-microphone scenes after section 5.1 of the paper, and what we chose where the paper is silent.

From the paper: a compact array of five microphones whose centre is the reference; a talker at 5 m, azimuth -30..30 and
elevation -10..10 degrees in steps of 5; one noise source at elevation 0 and one of eight azimuths 45 degrees apart;
speech and noise convolved with delayed pulses and a random room impulse response (RIR); SNR of -5..15 dB at the front
microphone.

Our choices:
- the geometry (`data.array.ARRAYS`), as the paper gives none;
- the noise source stands at 5 m too, and all microphones hear a source at the same level (the array is compact);
- delays are those of the exact distances relative to the reference microphone: the 233 samples that sound needs for
  5 m are left out, so the target, the clean anechoic speech, is the direct path at the reference in time and level;
- an RIR is cut at its direct path and divided by the direct sample, sign included;
- the talker and the noise get different RIRs of one room where the corpus has two, else the same one;
- the level of the clean speech is drawn uniformly from -36..-16 dBFS (active part);
- the SNR is that of reverberant speech against noise over the crop's active part.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.fft import next_fast_len
from torch import Tensor

from data import RATE
from data.array import DISTANCE, FRONT, SPEED_OF_SOUND, Array

SNRS_DB = (-5.0, 0.0, 5.0, 10.0, 15.0)
"""The SNRs of the evaluation, in dB."""
LEVELS_DBFS = (-36.0, -16.0)
TALKER_AZIMUTHS = tuple(range(-30, 31, 5))
TALKER_ELEVATIONS = tuple(range(-10, 11, 5))
NOISE_AZIMUTHS = tuple(range(0, 360, 45))
AUDIBLE = 1e-3
"""Least power of the noise while speech is active, relative to its power over the crop. With less, the gain that brings
it to the SNR would let the rest of the recording burst out."""
GUARD = 64
"""Samples of room at both ends for the tails of the fractional delays."""


def constants() -> dict[str, Any]:
    """The constants that shape every scene: with them in its key, a set made with other ones is another set."""
    return {
        "rate": RATE,
        "front": FRONT,
        "distance_m": DISTANCE,
        "speed_of_sound": SPEED_OF_SOUND,
        "snrs_db": SNRS_DB,
        "levels_dbfs": LEVELS_DBFS,
        "talker_azimuths": TALKER_AZIMUTHS,
        "talker_elevations": TALKER_ELEVATIONS,
        "noise_azimuths": NOISE_AZIMUTHS,
        "audible": AUDIBLE,
    }


class Sounds(Protocol):
    """What a scene needs of a bank of sounds: `data.bank.Bank`, or a few arrays in a test."""

    @property
    def groups(self) -> Sequence[str]: ...

    def __len__(self) -> int: ...

    def samples(self, index: int) -> NDArray[np.float32]: ...


@dataclass(frozen=True)
class Scene:
    """One example before it is heard: all signals start at the crop's first sample, at 16 kHz.

    Args:
        speech: (N,) dry speech.
        noise: (N,) dry noise.
        speech_rir: direct path first, of value one.
        noise_rir: likewise.
        speech_delays: (M,) in samples, relative to the reference.
        noise_delays: likewise.
        snr_db: at the front microphone.
        level_dbfs: of the clean speech.
        clip: index of the speech in its bank.
    """

    speech: NDArray[np.float32]
    noise: NDArray[np.float32]
    speech_rir: NDArray[np.float32]
    noise_rir: NDArray[np.float32]
    speech_delays: NDArray[np.float64]
    noise_delays: NDArray[np.float64]
    snr_db: float
    level_dbfs: float
    clip: int


def cut_at_direct_path(rir: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cuts a room impulse response at its direct path and divides it by the direct sample.

    The direct path is the first local maximum of |h| that reaches half of the largest one: strong early reflections
    may exceed it, the ringing of a fractional delay before it does not reach half of it.

    Args:
        rir: (R,) impulse response, not all zero.

    Returns:
        (R',) impulse response whose first sample is 1.
    """
    magnitude = np.abs(rir)
    onset = int(np.argmax(magnitude >= 0.5 * magnitude.max()))
    while onset + 1 < len(rir) and magnitude[onset + 1] > magnitude[onset]:
        onset += 1
    return np.asarray(rir[onset:] / rir[onset], dtype=np.float32)


def active(signal: Tensor, frame: int = 512, range_db: float = 40.0) -> Tensor:
    """Where speech is: 32 ms frames at most `range_db` below the loudest one.

    Args:
        signal: (B, N).

    Returns:
        (B, N) of zeros and ones.
    """
    samples = signal.shape[-1]
    blocks = torch.nn.functional.pad(signal, (0, -samples % frame)).unfold(-1, frame, frame)
    energy = blocks.square().sum(-1)
    mask = energy >= energy.amax(-1, keepdim=True) * 10 ** (-range_db / 10)
    return mask.repeat_interleave(frame, dim=-1)[..., :samples].to(signal.dtype)


def power(signal: Tensor, where: Tensor) -> Tensor:
    """(B,) mean power of (B, N) signals over the samples where `where` is one."""
    return (signal.square() * where).sum(-1) / where.sum(-1).clamp(min=1)


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def render(scenes: Sequence[Scene], device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
    """Lets microphones hear scenes of one length, all at once by FFT.

    On the CPU in one thread: the order of sums, and with it the last bits, would change with their number, and a set
    with other last bits trains another student.

    Returns:
        (B, M, N) noisy microphone signals and (B, N) clean anechoic speech at the reference microphone.
    """
    with _one_thread():
        return _render(scenes, device)


def _render(scenes: Sequence[Scene], device: torch.device | str) -> tuple[Tensor, Tensor]:
    samples = len(scenes[0].speech)
    tail = max(len(rir) for scene in scenes for rir in (scene.speech_rir, scene.noise_rir))
    size = next_fast_len(samples + tail + 2 * GUARD, real=True)

    def spectra(signals: list[NDArray[np.float32]]) -> Tensor:
        padded = np.zeros((len(signals), size), dtype=np.float32)
        for row, signal in zip(padded, signals, strict=True):
            row[: len(signal)] = signal
        return torch.fft.rfft(torch.from_numpy(padded).to(device))

    omega = torch.arange(size // 2 + 1, device=device, dtype=torch.float64) * (-2 * torch.pi / size)

    def steering(delays: list[NDArray[np.float64]]) -> Tensor:
        phase = torch.from_numpy(np.stack(delays)).to(device)[..., None] * omega  # (B, M, bins)
        return torch.polar(torch.ones_like(phase), phase).to(torch.complex64)

    clean = torch.from_numpy(np.stack([scene.speech for scene in scenes])).to(device, torch.float32)
    mask = active(clean)
    wanted = torch.tensor([10 ** (scene.level_dbfs / 20) for scene in scenes], device=device)
    gain = wanted / power(clean, mask).sqrt().clamp(min=1e-8)
    clean = clean * gain[:, None]

    speech = spectra([s.speech for s in scenes]) * spectra([s.speech_rir for s in scenes]) * gain[:, None]
    noise = spectra([s.noise for s in scenes]) * spectra([s.noise_rir for s in scenes])
    to_speech = steering([s.speech_delays for s in scenes])
    to_noise = steering([s.noise_delays for s in scenes])
    speech_power = power(torch.fft.irfft(speech * to_speech[:, FRONT], n=size)[:, :samples], mask)
    noise_at_front = torch.fft.irfft(noise * to_noise[:, FRONT], n=size)[:, :samples]
    noise_power = torch.maximum(power(noise_at_front, mask), AUDIBLE * noise_at_front.square().mean(-1))
    snr = torch.tensor([10 ** (scene.snr_db / 10) for scene in scenes], device=device)
    noise = noise * (speech_power / (snr * noise_power.clamp(min=1e-12))).sqrt()[:, None]
    mixture = speech[:, None] * to_speech + noise[:, None] * to_noise
    return torch.fft.irfft(mixture, n=size)[..., :samples].contiguous(), clean


def crop(signal: NDArray[np.float32], samples: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """A random piece of a signal, (samples,); a shorter signal is set at a random place among zeros."""
    spare = len(signal) - samples
    if spare >= 0:
        start = int(rng.integers(spare + 1))
        return np.array(signal[start : start + samples])
    out = np.zeros(samples, dtype=np.float32)
    start = int(rng.integers(-spare + 1))
    out[start : start + len(signal)] = signal
    return out


def loop(signal: NDArray[np.float32], samples: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """A random piece of a noise recording, (samples,); a shorter recording is repeated from a random sample on."""
    if len(signal) >= samples:
        return crop(signal, samples, rng)
    start = int(rng.integers(len(signal)))
    return np.take(signal, np.arange(start, start + samples), mode="wrap")


class SceneSource:
    """Draws scenes from the sounds of one split.

    Args:
        speech: clips of speech.
        noise: noise recordings.
        rirs: room impulse responses; `groups` tells the rooms.
        array: the microphone array.
    """

    def __init__(self, speech: Sounds, noise: Sounds, rirs: Sounds, array: Array) -> None:
        self.speech, self.noise, self.rirs, self.array = speech, noise, rirs, array
        rooms: dict[str, list[int]] = {}
        for index, room in enumerate(rirs.groups):
            rooms.setdefault(room, []).append(index)
        self._rooms = [rooms[name] for name in sorted(rooms)]

    def draw(
        self, rng: np.random.Generator, clip: int, samples: int | None = None, snr_db: float | None = None
    ) -> Scene:
        """Draws one scene around a clip of speech.

        Args:
            rng: all that is random comes from here.
            clip: index of the speech.
            samples: N of the crop; None for the clip's own length.
            snr_db: None to draw it uniformly from -5..15 dB.
        """
        signal = self.speech.samples(clip)
        speech = np.array(signal) if samples is None else self._audible_crop(signal, samples, rng)
        noise = self._audible_noise(speech, rng)
        room = self._rooms[int(rng.integers(len(self._rooms)))]
        pair = rng.choice(room, size=2, replace=len(room) < 2)
        talker = (float(rng.choice(TALKER_AZIMUTHS)), float(rng.choice(TALKER_ELEVATIONS)))
        level = float(rng.uniform(*LEVELS_DBFS))
        snr = float(rng.uniform(SNRS_DB[0], SNRS_DB[-1])) if snr_db is None else snr_db
        return Scene(
            speech=speech,
            noise=noise,
            speech_rir=cut_at_direct_path(self.rirs.samples(int(pair[0]))),  # here: all of SLR26 would fill the memory
            noise_rir=cut_at_direct_path(self.rirs.samples(int(pair[1]))),
            speech_delays=self.array.delays(*talker),
            noise_delays=self.array.delays(float(rng.choice(NOISE_AZIMUTHS)), 0.0),
            snr_db=snr,
            level_dbfs=level,
            clip=clip,
        )

    @staticmethod
    def _audible_crop(signal: NDArray[np.float32], samples: int, rng: np.random.Generator) -> NDArray[np.float32]:
        """A crop with speech in it: a pause alone has neither a level nor an SNR."""
        floor = 0.1 * float(np.sqrt(np.mean(np.square(signal))))
        for _ in range(10):
            piece = crop(signal, samples, rng)
            if float(np.sqrt(np.mean(np.square(piece)))) > floor:
                return piece
        loudest = int(np.argmax(np.abs(signal)))
        start = max(0, min(loudest - samples // 2, len(signal) - samples))
        return crop(np.array(signal[start : start + samples]), samples, rng)

    def _audible_noise(self, speech: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
        """A piece of noise that is heard while speech is active, the only part in which the SNR is defined."""
        where = active(torch.from_numpy(speech)[None])[0].numpy() > 0
        piece = np.zeros_like(speech)
        for _ in range(20):
            piece = loop(self.noise.samples(int(rng.integers(len(self.noise)))), len(speech), rng)
            energy = np.square(piece)
            if energy.mean() > 1e-9 and energy[where].mean() > AUDIBLE * energy.mean():
                break
        return piece
