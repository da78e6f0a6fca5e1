"""How fast scenes are made: five-channel audio against real time, and against time-domain convolution of each scene.

Sounds and rooms are made here, of the lengths of the real ones; seconds are those of one core.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.signal import convolve

from benchmarks.measure import Report, in_turns, parser, ratio, show, torch_threads
from data import RATE
from data.array import ARRAYS, FRONT, Array
from data.errors import run_command
from data.scene import AUDIBLE, Scene, SceneSource, active, render

BATCH = 8
"""Scenes that are rendered at once, as `data.examples` does."""
HALF = 64
"""Samples on each side of a delayed pulse."""


@dataclass(frozen=True)
class Recordings:
    """Sounds of a bank, in memory."""

    groups: Sequence[str]
    signals: Sequence[NDArray[np.float32]]

    def __len__(self) -> int:
        return len(self.signals)

    def samples(self, index: int) -> NDArray[np.float32]:
        """(N,) of one sound."""
        return self.signals[index]


def source(seconds: float, room_seconds: float, rng: np.random.Generator) -> SceneSource:
    """Speech-like bursts and noise of up to twice a scene's length, and four decaying responses of two rooms."""

    def noise(length: float) -> NDArray[np.float32]:
        white = rng.normal(scale=0.1, size=round(length * RATE) + 2)
        return np.asarray(np.convolve(white, [0.25, 0.5, 0.25], mode="valid"), dtype=np.float32)

    def speech(length: float) -> NDArray[np.float32]:
        carrier = noise(length)
        return np.asarray(carrier * np.sin(np.pi * 4 * np.arange(len(carrier)) / RATE) ** 4, dtype=np.float32)

    def response() -> NDArray[np.float32]:
        decay = np.exp(-6.9 * np.arange(round(room_seconds * RATE)) / (room_seconds * RATE))  # 60 dB to its end
        tail = rng.normal(size=len(decay)) * decay
        return np.concatenate([np.zeros(40), [1.0], 0.2 * tail]).astype(np.float32)

    lengths = rng.uniform(seconds, 2 * seconds, 6)
    return SceneSource(
        Recordings([f"speaker {i}" for i in range(6)], [speech(length) for length in lengths]),
        Recordings([f"recording {i}" for i in range(6)], [noise(length) for length in lengths]),
        Recordings(["small", "small", "large", "large"], [response() for _ in range(4)]),
        Array("cross", ARRAYS["cross"]),
    )


def draw(sounds: SceneSource, scenes: int, samples: int) -> list[Scene]:
    """The same scenes each time."""
    return [sounds.draw(np.random.default_rng([0, i]), i % len(sounds.speech), samples) for i in range(scenes)]


def render_all(scenes: Sequence[Scene]) -> None:
    """Ours: a batch at once, by FFT."""
    for first in range(0, len(scenes), BATCH):
        render(scenes[first : first + BATCH])


def time_domain(scene: Scene) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The baseline: one scene by direct convolution, with the response and then with each microphone's delayed pulse.

    Returns:
        (M, N) noisy microphone signals and (N,) clean speech, as `data.scene.render` gives them for one scene.
    """
    samples = len(scene.speech)
    mask = active(torch.from_numpy(scene.speech)[None])[0].numpy() > 0
    clean = scene.speech * np.float32(10 ** (scene.level_dbfs / 20) / np.sqrt(np.mean(scene.speech[mask] ** 2)))

    def heard(
        dry: NDArray[np.float32], response: NDArray[np.float32], delays: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        wet = convolve(dry, response, method="direct")
        pulses = [delayed_pulse(delay) for delay in delays]
        return np.stack([convolve(wet, pulse, method="direct")[HALF : HALF + samples] for pulse in pulses])

    speech = heard(clean, scene.speech_rir, scene.speech_delays)
    noise = heard(scene.noise, scene.noise_rir, scene.noise_delays)
    energy = noise[FRONT] ** 2
    noise_power = max(float(energy[mask].mean()), AUDIBLE * float(energy.mean()))
    speech_power = float(np.mean(speech[FRONT][mask] ** 2))
    gain = np.sqrt(speech_power / (10 ** (scene.snr_db / 10) * noise_power))
    return speech + np.float32(gain) * noise, clean


def delayed_pulse(delay: float) -> NDArray[np.float32]:
    """(2 * HALF + 1,) taps of a sinc under a Kaiser window, centred on HALF + `delay` samples."""
    places = np.arange(-HALF, HALF + 1) - delay
    return np.asarray(np.sinc(places) * np.kaiser(2 * HALF + 1, 5.0), dtype=np.float32)


def measure(scenes: int, seconds: float, room_seconds: float, baseline_scenes: int, repetitions: int) -> Report:
    """Times drawing and rendering, rendering alone, and the baseline on the first of the same scenes.

    Args:
        scenes: made in a repetition.
        seconds: length of a scene.
        room_seconds: length of a room response.
        baseline_scenes: how many of the scenes the baseline renders.
        repetitions: timed rounds.
    """
    samples = round(seconds * RATE)
    sounds = source(seconds, room_seconds, np.random.default_rng(0))
    drawn = draw(sounds, scenes, samples)
    few = drawn[:baseline_scenes]
    with torch_threads(1):
        timed = in_turns(
            {
                "drawn and rendered": lambda: render_all(draw(sounds, scenes, samples)),
                "rendered": lambda: render_all(drawn),
                "in the time domain": lambda: [time_domain(one) for one in few],
            },
            repetitions,
            time.process_time,
        )
    audio = [scenes * seconds]
    slow = [second * scenes / len(few) for second in timed["in the time domain"]]
    return Report(
        "scene",
        {
            "times_real_time": ratio(audio, timed["drawn and rendered"]),
            "times_real_time_rendering": ratio(audio, timed["rendered"]),
            "over_time_domain": ratio(slow, timed["rendered"]),
        },
        {
            "times_real_time": "real time: seconds of five-channel audio per second of one core, drawing included",
            "times_real_time_rendering": "real time, for scenes that are drawn already",
            "over_time_domain": "the same scenes one by one with scipy's direct convolution",
        },
        timed,
        {
            "scenes": scenes, "seconds": seconds, "room_seconds": room_seconds, "baseline_scenes": len(few),
            "batch": BATCH, "microphones": sounds.array.microphones, "torch_threads": 1,
        },
    )  # fmt: skip


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    flags = parser(__doc__)
    flags.add_argument("--scenes", type=int, default=32, help="scenes a round (default: %(default)s)")
    flags.add_argument("--seconds", type=float, default=4.0, help="length of a scene (default: %(default)s)")
    flags.add_argument("--room-seconds", type=float, default=0.5, help="length of a response (default: %(default)s)")
    flags.add_argument("--baseline-scenes", type=int, default=4, help="of them for the baseline (default: %(default)s)")
    given = flags.parse_args(argv)
    report = measure(given.scenes, given.seconds, given.room_seconds, given.baseline_scenes, given.repetitions)
    show(report, as_json=given.json)


if __name__ == "__main__":
    run_command(main)
