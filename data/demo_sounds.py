"""How the noises of the demo corpus sound: one function a kind, every one drawing its parameters from its generator."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve

from data import RATE

Signal = NDArray[np.float64]
Rng = np.random.Generator


def coloured(rng: Rng, n: int, hertz: list[float], decibels: list[float]) -> Signal:
    """Gaussian noise of unit power whose spectrum runs straight, over log frequency, through about the given points.

    Each point is moved by some 2 dB, so that no two recordings have one colour.
    """
    grid = np.maximum(np.fft.rfftfreq(n, 1 / RATE), 1.0)
    points = np.asarray(decibels) + rng.normal(0.0, 2.0, len(decibels))
    gain = 10 ** (np.interp(np.log(grid), np.log(hertz), points) / 20)
    gain[grid < 20] = 0.0
    return unit(np.fft.irfft(np.fft.rfft(rng.standard_normal(n)) * gain, n))


def unit(samples: Signal) -> Signal:
    """The samples at unit power."""
    return np.asarray(samples / np.sqrt(np.mean(samples**2) + 1e-20))


def _slow(rng: Rng, n: int, hertz: float) -> Signal:
    """A smooth random curve of unit variance with changes up to about `hertz`."""
    points = max(4, int(n / RATE * hertz * 2) + 4)
    knots = rng.standard_normal(points)
    at = np.linspace(0, points - 1, n)
    left = np.minimum(at.astype(int), points - 2)
    blend = 0.5 - 0.5 * np.cos(np.pi * (at - left))
    return np.asarray(knots[left] * (1 - blend) + knots[left + 1] * blend)


def _tones(phase: Signal, amplitudes: Signal, rng: Rng) -> Signal:
    """A harmonic sum: partial k has k times the phase (in cycles) and a random start."""
    turn = np.exp(2j * np.pi * phase)
    partial, out = np.ones_like(turn), np.zeros(len(phase))
    for amplitude, start in zip(amplitudes, rng.random(len(amplitudes)), strict=True):
        partial *= turn  # a power by multiplication: several times faster than a sine a partial
        out += amplitude * (partial * np.exp(2j * np.pi * start)).imag
    return out


def _partials(frequency: float, slope: float, most: int = 40) -> Signal:
    """Amplitudes k ** -slope of the partials that stay below 7 kHz."""
    return np.arange(1.0, max(2, min(most, int(7000 / frequency)) + 1)) ** -slope


def _strokes(
    rng: Rng, n: int, times: NDArray[np.float64], low: float, high: float, decay: tuple[float, float]
) -> Signal:
    """Damped resonances struck at `times` (seconds): eight kinds of stroke with modes between `low` and `high` Hz."""
    out = np.zeros(n)
    t = np.arange(round(0.4 * RATE)) / RATE
    kinds = rng.integers(8, size=len(times))
    for kind in range(8):
        hits = np.zeros(n)
        at = (times[kinds == kind] * RATE).astype(int)
        at = at[at < n]
        np.add.at(hits, at, rng.lognormal(0.0, 0.6, len(at)))
        modes = np.exp(rng.uniform(np.log(low), np.log(high), 6))
        seconds = np.exp(rng.uniform(np.log(decay[0]), np.log(decay[1]), 6))
        ring = sum(
            rng.uniform(0.2, 1.0) * np.sin(2 * np.pi * m * t) * np.exp(-t / s)
            for m, s in zip(modes, seconds, strict=True)
        )
        click = rng.standard_normal(len(t)) * np.exp(-t / 0.003)
        out += fftconvolve(hits, ring + rng.uniform(0.3, 1.0) * click)[:n]
    return out


def _arrivals(rng: Rng, seconds: float, per_second: float) -> NDArray[np.float64]:
    """The times of a Poisson process, at least one."""
    return rng.uniform(0.0, seconds, max(1, rng.poisson(seconds * per_second)))


def fan(rng: Rng, n: int) -> Signal:
    """A fan or an air conditioner: steady coloured noise with the tone of the blades."""
    slope = rng.uniform(-7.0, -2.0)
    hertz = np.geomspace(60, 8000, 8)
    air = coloured(rng, n, list(hertz), list(slope * np.log2(hertz / 60)))
    blades = rng.uniform(60, 240)
    phase = np.cumsum(blades * (1 + 0.002 * _slow(rng, n, 1.0))) / RATE
    return air + rng.uniform(0.05, 0.5) * unit(_tones(phase, _partials(blades, rng.uniform(1, 2), 12), rng))


def rain(rng: Rng, n: int) -> Signal:
    """Rain: a hiss of many drops, and single drops on something near."""
    low = rng.uniform(300, 1500)
    hiss = coloured(rng, n, [50, low, low * 3, 8000], [-25, -6, 0, rng.uniform(-8, 2)])
    drops = _strokes(rng, n, _arrivals(rng, n / RATE, rng.uniform(20, 150)), 600, 6000, (0.001, 0.015))
    return hiss * np.exp(0.2 * _slow(rng, n, 0.5)) + rng.uniform(0.3, 1.0) * unit(drops)


def wind(rng: Rng, n: int) -> Signal:
    """Gusts: low noise of strongly changing level; the stronger the gust, the higher it reaches."""
    gust = _slow(rng, n, rng.uniform(0.4, 1.2))
    corner = rng.uniform(80, 300)
    low = coloured(rng, n, [20, corner, corner * 8, 8000], [0, 0, -30, -60])
    high = coloured(rng, n, [100, 400, 1500, 8000], [-20, 0, -8, -30])
    whistle = coloured(rng, n, [300, 500, 560, 620, 1000], [-50, -20, 0, -20, -50])
    return (
        low * np.exp(0.7 * gust)
        + high * np.exp(1.3 * gust - rng.uniform(1, 2))
        + 0.2 * whistle * np.exp(1.5 * gust - 1)
    )


def engine(rng: Rng, n: int) -> Signal:
    """A motor: harmonics of a drifting speed, rough by its half order, over rumble."""
    speed = rng.uniform(30, 130) * np.exp(rng.uniform(0.02, 0.2) * _slow(rng, n, rng.uniform(0.2, 1.0)))
    phase = np.cumsum(speed) / RATE
    amplitudes = _partials(speed.max(), rng.uniform(0.5, 1.3), 60)
    tone = _tones(phase, amplitudes * rng.lognormal(0, 0.5, len(amplitudes)), rng)
    rough = 1 + rng.uniform(0.1, 0.6) * np.sin(np.pi * phase)
    rumble = coloured(rng, n, [20, 150, 1000, 8000], [0, 0, -15, -40])
    return unit(tone * rough) + rng.uniform(0.3, 1.2) * rumble


def traffic(rng: Rng, n: int) -> Signal:
    """A road: vehicles that pass, each a swell of tyre noise and a motor whose pitch falls as it passes."""
    t = np.arange(n) / RATE
    out = rng.uniform(0.1, 0.4) * coloured(rng, n, [20, 200, 1000, 8000], [0, -3, -15, -45])
    tyres = coloured(rng, n, [50, rng.uniform(400, 1200), 3000, 8000], [-20, 0, -8, -25])
    for _ in range(max(2, round(n / RATE * rng.uniform(0.3, 0.8)))):
        passing = (t - rng.uniform(0, t[-1])) / rng.uniform(0.5, 1.6)
        loud = rng.lognormal(0, 0.4) / (1 + passing**2)
        speed = rng.uniform(35, 110)
        motor = _tones(np.cumsum(speed * (1 - 0.06 * np.tanh(passing))) / RATE, _partials(speed, 1.0, 25), rng)
        out += loud * (np.roll(tyres, int(rng.integers(n))) + rng.uniform(0.2, 1.0) * unit(motor))
    return out


def keyboard(rng: Rng, n: int) -> Signal:
    """Typing: bursts of keys, each with its release, in a quiet room."""
    gaps = (
        rng.gamma(2.0, rng.uniform(0.05, 0.09), round(n / RATE / 0.08))
        + (rng.random(round(n / RATE / 0.08)) < 0.06) * 0.5
    )
    down = np.cumsum(gaps)
    times = np.concatenate([down, down + rng.uniform(0.05, 0.1, len(down))])
    keys = _strokes(rng, n, times, rng.uniform(300, 900), 6000, (0.002, 0.012))
    return unit(keys) + rng.uniform(0.02, 0.1) * coloured(rng, n, [20, 200, 8000], [0, 0, -40])


def dishes(rng: Rng, n: int) -> Signal:
    """Dishes and cutlery: ringing strokes in clusters, over running water now and then."""
    times = [start + rng.exponential(0.12, rng.integers(1, 7)).cumsum() for start in _arrivals(rng, n / RATE, 1.2)]
    ringing = _strokes(rng, n, np.concatenate(times), rng.uniform(500, 1200), 7000, (0.01, 0.12))
    water = coloured(rng, n, [100, 700, 3000, 8000], [-20, 0, -3, -12]) * np.exp(0.5 * _slow(rng, n, 1.0))
    return unit(ringing) + rng.uniform(0.02, 0.5) * water


def music(rng: Rng, n: int) -> Signal:
    """Chords of plucked and held tones over a beat."""
    out = np.zeros(n)
    beat = rng.uniform(0.35, 0.7)
    root = 110 * 2 ** (rng.integers(0, 12) / 12)
    held = rng.random() < 0.5
    slope = rng.uniform(0.8, 2.0)
    for bar in range(int(n / RATE / (2 * beat)) + 1):
        start = round(bar * 2 * beat * RATE)
        length = min(n - start, round(2 * beat * RATE))
        if length < 2:
            break
        t = np.arange(length) / RATE
        degree = rng.choice([0, 5, 7, 9])
        shape = np.minimum(t / 0.08, 1) * np.minimum((t[-1] - t) / 0.05, 1) if held else np.exp(-3 * t)
        for interval in (0, 4 if degree < 9 else 3, 7, 12 + rng.choice([0, 2, 4, 7])):
            note = root * 2 ** ((degree + interval) / 12)
            out[start : start + length] += shape * _tones(note * t, _partials(note, slope, 12), rng)
    drum = _strokes(rng, n, np.arange(0, n / RATE, beat), 60, 5000, (0.01, 0.06))
    return unit(out) + rng.uniform(0.1, 0.6) * unit(drum)


def surf(rng: Rng, n: int) -> Signal:
    """Waves on a beach: slow swells, brighter at the crest."""
    t = np.arange(n) / RATE
    swell = sum(np.sin(2 * np.pi * (t / rng.uniform(3, 9) + rng.random())) for _ in range(3)) / 1.7
    deep = coloured(rng, n, [20, 200, 1500, 8000], [-6, 0, -12, -30])
    bright = coloured(rng, n, [200, 1000, 4000, 8000], [-20, 0, -2, -10])
    return deep * np.exp(0.5 * swell) + rng.uniform(0.5, 1.2) * bright * np.exp(1.1 * swell - 0.5)


def fire(rng: Rng, n: int) -> Signal:
    """A fire: crackling over the rumble of the flames."""
    crackle = _strokes(rng, n, _arrivals(rng, n / RATE, rng.uniform(8, 40)), 700, 7500, (0.0005, 0.006))
    flames = coloured(rng, n, [20, 120, 600, 8000], [0, 0, -12, rng.uniform(-40, -25)]) * np.exp(
        0.4 * _slow(rng, n, 3.0)
    )
    return unit(crackle) + rng.uniform(0.3, 1.0) * flames


def siren(rng: Rng, n: int) -> Signal:
    """A siren or an alarm: two tones in turn or a sweep, over the murmur of a street."""
    t = np.arange(n) / RATE
    low, turn = rng.uniform(350, 900), rng.uniform(0.3, 1.5)
    ratio = rng.uniform(1.2, 1.7)
    cycle = (t / turn + rng.random()) % 1
    bend = (cycle < 0.5).astype(float) if rng.random() < 0.5 else 0.5 - 0.5 * np.cos(2 * np.pi * cycle)
    phase = np.cumsum(low * ratio**bend) / RATE
    tone = _tones(phase, _partials(low * ratio, rng.uniform(0.7, 1.6), 10), rng) * np.exp(0.3 * _slow(rng, n, 0.5))
    street = coloured(rng, n, [20, 300, 1500, 8000], [0, -2, -14, -35])
    return unit(tone) + rng.uniform(0.4, 1.2) * street


def helicopter(rng: Rng, n: int) -> Signal:
    """Rotor or machine: noise in regular beats with a whine."""
    beats = np.cumsum(rng.uniform(8, 24) * (1 + 0.02 * _slow(rng, n, 0.5))) / RATE
    pulse = np.exp(-rng.uniform(2, 6) * (beats % 1))
    wash = coloured(rng, n, [30, rng.uniform(150, 500), 2500, 8000], [0, 0, -10, -25])
    whine = rng.uniform(250, 900)
    tone = _tones(np.cumsum(whine * (1 + 0.003 * _slow(rng, n, 1.0))) / RATE, _partials(whine, 1.5, 8), rng)
    return wash * pulse + rng.uniform(0.02, 0.25) * unit(tone)


SOUNDS: dict[str, Callable[[Rng, int], Signal]] = {
    make.__name__: make
    for make in (fan, rain, wind, engine, traffic, keyboard, dishes, music, surf, fire, siren, helicopter)
}
"""Every kind that is made of nothing but numbers: (generator, samples) -> a signal of any level."""
