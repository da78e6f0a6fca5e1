"""The page that goes with an exported student: what it costs, what its latency is, how it is fed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from model.ftjnf import Size


def card(config: Mapping[str, Any], notes: Sequence[str] = ()) -> str:
    """The text of `CARD.md`.

    Args:
        config: what `model.export.export_student` writes to `config.json`.
        notes: a line each on scores and origin.
    """
    size, rate, hop, latency = (config[key] for key in ("size", "sample_rate_hz", "hop_samples", "latency_samples"))
    data = config["recipe"].get("data") or {}
    lines = [*notes, *([f"Microphone array: {data['array']}."] if "array" in data else [])]
    if "speech" in data and data["speech"] is None:
        lines.append("It was trained on the synthetic demo corpus: a demonstration, not a product.")
    return _CARD.format(
        **config["cost"],
        size=Size(**size),
        direction="both directions" if size["bi_freq"] else "one direction",
        M=size["microphones"],
        K=config["bins"],
        T=size["t_hidden"],
        last=config["bins"] - 1,
        rate=rate,
        frame=config["frame_samples"],
        hop=hop,
        hop_ms=1000 * hop // rate,
        latency=latency,
        latency_ms=1000 * latency // rate,
        frames=config["proof"]["frames"],
        difference=config["proof"]["largest_difference"],
        notes="".join(f"- {line}\n" for line in lines),
    )


_CARD = """\
# Student {size}

An FT-JNF speech-enhancement network for {M} microphones at {rate} Hz. It estimates the speech at the reference
microphone, channel 0. Its F-LSTM runs in {direction} over frequency.

## Scores and origin

{notes}- `config.json` holds the whole origin: search, choice, recipe.

## Cost

| | |
|---|---|
| parameters | {parameters} ({fp32_bytes} bytes as float32) |
| state carried between frames | {state_bytes} bytes |
| on the axis of the paper's Table 1 | {paper_gmac:.3f} GMAC |
| true cost | {gmac_per_s:.3f} GMAC/s = {mmac_per_frame:.2f} MMAC/frame ({hop_ms} ms) |

## Latency

{latency} samples = {latency_ms} ms: {hop} samples pass until a hop is complete, and {hop} more until the next frame,
which overlaps it by half, is complete too. The computing time of a frame comes on top. No future frame is used.

## Files

- `student.onnx`: one frame. In: `noisy` (1, {M}, {K}, 2) float32, real and imaginary part of each microphone's STFT;
  `h`, `c` (1, {K}, {T}), zeros at first. Out: `enhanced` (1, {K}, 2), and `h_out`, `c_out` for the next frame.
- `golden.npz`: {frames} frames with the start state and the output to expect, to check another implementation.
- `student.safetensors`: the weights. `config.json`: all of this for programs.

The network on whole signals, frame by frame, and `student.onnx` in onnxruntime differ by at most {difference:.1e} over
these {frames} frames, last states included.

## Feeding it frames

Frames of {frame} samples every {hop}, a square-root Hann window before the transform and after its inverse, no scaling.
The stream begins with zeros. The imaginary parts of bins 0 and {last} do not count.

```python
import numpy as np
import onnxruntime

student = onnxruntime.InferenceSession("student.onnx")
window = np.sqrt(0.5 - 0.5 * np.cos(2 * np.pi * np.arange({frame}) / {frame}))


def enhance(hops):
    h = c = np.zeros((1, {K}, {T}), np.float32)
    recent, tail = np.zeros(({M}, {frame})), np.zeros({hop})
    for hop in hops:  # ({M}, {hop}) samples
        recent = np.concatenate((recent[:, {hop}:], hop), axis=1)
        spectrum = np.fft.rfft(recent * window)
        noisy = np.stack((spectrum.real, spectrum.imag), axis=-1)[None].astype(np.float32)
        enhanced, h, c = student.run(None, {{"noisy": noisy, "h": h, "c": c}})
        frame = np.fft.irfft(enhanced[0, :, 0] + 1j * enhanced[0, :, 1]) * window
        yield tail + frame[:{hop}]  # ({hop},) samples: the hop before this one; the first is before the signal
        tail = frame[{hop}:]
```

A last hop of zeros brings out the end of the signal.
"""
