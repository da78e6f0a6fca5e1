"""The page that goes with an exported student: what it costs, what its latency is, how it is fed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from data.scene import LEVELS_DBFS
from model.frame_time import NATIVE
from model.ftjnf import Size
from model.lineage import lineage

_ENGINES = {
    "torch": "torch, streaming",
    "onnx": "`student.onnx`, onnxruntime",
    "int8": "`student.int8.onnx`, onnxruntime",
    "c": f"`student.c`, {' '.join(NATIVE)}",
    "c_portable": "`student.c`, -O3",
}
_LINEAGE = {
    "data_manifest_sha256": "data manifest (SHA-256)",
    "teacher_sha256": "teacher (SHA-256)",
    "weights_sha256": "weights (SHA-256)",
    "seed": "seed",
    "trained_with": "trained with",
    "exported_with": "exported with",
}


def card(config: Mapping[str, Any], notes: Sequence[str] = (), sturdiness: str | None = None) -> str:
    """The text of `CARD.md`.

    Args:
        config: what `model.export.export_student` writes to `config.json`.
        notes: a line each on scores and origin.
        sturdiness: a table on level, silence and other arrays, as Markdown, or `not_measured`.
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
        scores=_scores(config["origin"].get("scores") or {}),
        times=_times(config["frame_time"]),
        int8=_int8(config["int8"]),
        c=_c(config["proof"]),
        pesq=_pesq(config["proof"]["pesq"]),
        limits=_limits(data),
        sturdiness=f"\n{(sturdiness or not_measured('nobody asked for it')).strip()}\n",
        licence=_licence(data),
        lineage=_lineage(config),
    )


def not_measured(why: str) -> str:
    """What stands on the card in the place of the table on odd input.

    Args:
        why: a sentence's end that says why it is not there.
    """
    return f"What odd input (level, clipping, broken or displaced microphones, silence) does was not measured: {why}."


def _scores(scores: Mapping[str, Any]) -> str:
    """A table of PESQ by SNR; `scores` as `analysis.origin.scores_by_snr` gives them."""
    if not scores:
        return ""
    heads = [f"{split}: median | 95 % interval" for split in ("validation", "test")]
    rows = [f"| SNR in dB | {' | '.join(heads)} |", "|---|---|---|---|---|"]
    for snr, row in scores.items():
        cells = [_number(row.get("val")), _pair(row.get("val_interval"))]
        cells += [_number(row.get("test")), _pair(row.get("test_interval"))]
        rows.append(f"| {snr} | {' | '.join(cells)} |")
    return "\n" + "\n".join(rows) + "\n"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _pair(values: Sequence[float | None] | None) -> str:
    return "" if not values or None in values else " to ".join(_number(value) for value in values)


def _times(found: Mapping[str, Any]) -> str:
    rows = ["| ms per frame | median | 99th percentile | of a hop |", "|---|---|---|---|"]
    for name, values in found["engines"].items():
        figures = f"{values['p50_ms']:.3f} | {values['p99_ms']:.3f} | {100 * values['share_of_hop']:.1f} %"
        rows.append(f"| {_ENGINES.get(name, name)} | {figures} |")
    where = (
        f"Measured on {found['cpu']}, one thread, {found['frames']} frames each, in turns; other programs may have run."
    )
    return "\n".join(rows) + f"\n\n{where}"


def _int8(found: Mapping[str, Any]) -> str:
    if found["kept"]:
        return f"- `student.int8.onnx`: the same with the LSTMs' weights as int8. {_sentence(found['why'])}"
    return f"- `student.int8.onnx` was left out: {found['why']}."


def _c(proof: Mapping[str, Any]) -> str:
    if proof["c_hops_largest_difference"] is None:
        return f"`student.c` was {proof['c']}: check it yourself."
    return f"`student.c` agrees too, and hop by hop within {proof['c_hops_largest_difference']:.1e} of full scale."


def _pesq(found: Mapping[str, Any]) -> str:
    if "left_out" in found:
        return f"Its PESQ was not compared with the network's, as {found['left_out']}."
    return (
        f"On the search's {found['clips']} test clips at {len(found['snrs'])} SNRs the PESQ of `student.onnx` is the "
        f"network's within {found['largest_difference']:.1e}, clip by clip."
    )


def _limits(data: Mapping[str, Any]) -> str:
    array = f"the array `{data['array']}`" if "array" in data else "one array"
    lines = [
        f"It was trained for {array}: other geometries, another order of the microphones, gains that differ and "
        "microphones of other kinds are outside of what it learned.",
        f"It learned from speech at {LEVELS_DBFS[0]:g} to {LEVELS_DBFS[1]:g} dBFS; nothing normalises the input.",
    ]
    if "speech" in data and data["speech"] is None:
        lines.append("Its speech is synthetic German. People, other languages and real noise were not measured.")
    elif "speech" in data:
        lines.append(f"Languages and voices are those of its corpus ({data['speech']}); others were not measured.")
    return "".join(f"- {line}\n" for line in lines)


def _licence(data: Mapping[str, Any]) -> str:
    if "speech" in data and data["speech"] is None:
        return (
            "The demo corpus is made on the user's machine: sentences written for the project and spoken by espeak-ng "
            "(GPL-3.0, used as a program; nothing of it is in this folder), computed noises and rooms. If the student "
            "was cut from the packaged teacher, or taught by it, recordings are behind it that the project's NOTICE "
            "names (CC0, CC BY 3.0 and 4.0, free use); CC BY wants their authors named."
        )
    if "speech" in data:
        return (
            f"It was trained on your own corpora ({data['speech']}, {data.get('noise')}, {data.get('rirs')}): their "
            "licences say what may be done with it. The search's data.json and splits.json list the files."
        )
    return "What it was trained on is not told in its recipe."


def _lineage(config: Mapping[str, Any]) -> str:
    known = lineage(config)
    rows = "".join(f"| {title} | {known.get(name, 'not known')} |\n" for name, title in _LINEAGE.items())
    return f"| | |\n|---|---|\n{rows}{_again(config['origin'])}"


def _again(origin: Mapping[str, Any]) -> str:
    """The command that makes the search again, and the space file that it needs, if it needs one."""
    command, space = origin.get("command"), origin.get("space")
    if not command:
        return ""
    text = f"\nThe search again; `config.json` has every setting:\n\n```\n{command}\n```\n"
    if space:
        text += f"\nwith this as `space.json`:\n\n```json\n{json.dumps(space)}\n```\n"
    return text


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."


_CARD = """\
# Student {size}

An FT-JNF speech-enhancement network for {M} microphones at {rate} Hz. It estimates the speech at the reference
microphone, channel 0. Its F-LSTM runs in {direction} over frequency.

## Scores and origin

{notes}- `config.json` holds the whole origin: search, choice, recipe.
{scores}
## Cost

| | |
|---|---|
| parameters | {parameters} ({fp32_bytes} bytes as float32) |
| state carried between frames | {state_bytes} bytes |
| constants in C: padded weights, window and FFT tables | {c_constant_bytes} bytes, and the code |
| memory of a stream in C, working memory included | {c_state_bytes} bytes |
| on the axis of the paper's Table 1 | {paper_gmac:.3f} GMAC |
| true cost | {gmac_per_s:.3f} GMAC/s = {mmac_per_frame:.2f} MMAC/frame ({hop_ms} ms) |

{times}

## Latency

{latency} samples = {latency_ms} ms: {hop} samples pass until a hop is complete, and {hop} more until the next frame,
which overlaps it by half, is complete too. The computing time of a frame comes on top. No future frame is used.
Frames of {latency_ms} ms are what the network was trained with: they resolve the harmonics of a voice, and overlap by
half, so that windows before and after the processing add up to one.

## Files

- `student.onnx`: one frame. In: `noisy` (1, {M}, {K}, 2) float32, real and imaginary part of each microphone's STFT;
  `h`, `c` (1, {K}, {T}), zeros at first. Out: `enhanced` (1, {K}, 2), and `h_out`, `c_out` for the next frame.
{int8}
- `student.c`, `student.h`: the same in C99 with the weights in it, for frames or for hops of samples.
- `run_frame.py`: a wav file in, a wav file out; `python run_frame.py in.wav out.wav`. It takes {M} channels at {rate}
  Hz, of integers (PCM) of 16, 24 or 32 bits or of floats of 32 bits, and gives floats.
- `golden.npz`: {frames} frames with the start state and the output to expect, to check another implementation.
- `student.safetensors`: the weights. `config.json`: all of this for programs.

The network on whole signals, frame by frame, and `student.onnx` in onnxruntime differ by at most {difference:.1e} over
these {frames} frames; last states too, relative to the largest cell where it exceeds 1. {c} {pesq}

## Limits

{limits}{sturdiness}
## In C

```c
static student_state state;
float input[{hop} * {M}], output[{hop}];  /* the channels of a sample stand side by side */
student_init(&state);
while (read_samples(input))
    student_hop(&state, input, output);  /* the hop before this one, enhanced */
```

Compile `student.c` with `-O2` or `-O3`, and for the machine that it shall run on (`-march=native`, `-mcpu=...`), with
`-ffp-contract=fast`: its loops use vector units as far as the compiler may. It needs no library and allocates nothing.
`STUDENT_PREFIX` lets several students into one program, see `student.h`.

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

## Licences

{licence}

## Lineage

{lineage}"""
