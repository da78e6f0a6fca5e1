"""The proof of an export: the network on the whole, as a stream, as ONNX and as C, on the same frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from data import RATE
from model.c_student import CStudent
from model.ftjnf import FTJNF, REFERENCE
from model.stft import HOP, istft, stft

TOLERANCE = 1e-4
"""Largest difference between the network and its export that is accepted: of enhanced frames in units of the STFT, of
states in units of their `state_scale`."""

PROBE_FRAMES = 100
Frames = NDArray[np.float32]


@dataclass(frozen=True)
class Output:
    """What a stream of L frames gave: `enhanced` (L, K, 2) and the T-LSTM's last state `h` and `c`, each (1, K, T)."""

    enhanced: Frames
    h: Frames
    c: Frames


def probe_signal(microphones: int, samples: int, seed: int = 0) -> Frames:
    """(M, N) samples like speech in noise: what a proof is made on.

    Harmonics of a gliding voice in four syllables a second, which reach the microphones one after the other, and noise
    of its own in each, 20 dB below. It rises from -50 to -6 dBFS.
    """
    rng = np.random.default_rng(seed)
    time = np.arange(samples) / RATE
    phase = 2 * np.pi * np.cumsum(120 + 30 * np.sin(2 * np.pi * 0.7 * time)) / RATE
    voice = sum(np.sin(n * phase + rng.uniform(0, 6.28)) / n for n in range(1, 40)) * np.sin(np.pi * 4 * time) ** 2
    heard = np.stack([np.roll(voice, m) for m in range(microphones)])
    heard = heard + 0.1 * rng.standard_normal(heard.shape)
    return np.asarray(heard / np.abs(heard).max() * np.geomspace(0.003, 0.5, samples), np.float32)


def probe_frames(microphones: int, count: int = PROBE_FRAMES, seed: int = 0) -> Frames:
    """The STFT (L, M, K, 2) of `probe_signal`."""
    signal = probe_signal(microphones, (count - 1) * HOP, seed)
    spectrum = stft(torch.from_numpy(signal).double()).to(torch.complex64)  # (M, K, L)
    return torch.view_as_real(spectrum.permute(2, 0, 1).contiguous()).numpy()


@torch.no_grad()
def run_batch(net: FTJNF, frames: Frames) -> Output:
    """The network on all frames (L, M, K, 2) at once, as in training."""
    noisy = torch.view_as_complex(torch.from_numpy(frames)).permute(1, 2, 0)[None]  # (1, M, K, L)
    activations = net(noisy)
    enhanced = (activations.mask * noisy[:, REFERENCE])[0].T.contiguous()  # (L, K)
    h, c = activations.state
    return Output(torch.view_as_real(enhanced).numpy(), h.numpy(), c.numpy())


@torch.no_grad()
def run_stream(net: FTJNF, frames: Frames) -> Output:
    """The network frame by frame, its state carried on."""
    noisy = torch.view_as_complex(torch.from_numpy(frames))[:, None, ..., None]  # (L, 1, M, K, 1)
    state, enhanced = None, []
    for frame in noisy:
        activations = net(frame, state)
        state = activations.state
        enhanced.append((activations.mask * frame[:, REFERENCE])[0, :, 0])
    assert state is not None
    return Output(torch.view_as_real(torch.stack(enhanced)).numpy(), state[0].numpy(), state[1].numpy())


def onnx_session(path: Path) -> Any:
    """An exported student in onnxruntime, on one CPU thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors only
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def run_session(session: Any, frames: Frames) -> Output:
    """What `onnx_session` gave, frame by frame from the start of a signal."""
    shapes = {node.name: node.shape for node in session.get_inputs()}
    h, c = np.zeros(shapes["h"], np.float32), np.zeros(shapes["c"], np.float32)
    enhanced = []
    for frame in frames:
        one, h, c = session.run(["enhanced", "h_out", "c_out"], {"noisy": frame[None], "h": h, "c": c})
        enhanced.append(one[0])
    return Output(np.stack(enhanced), h, c)


def run_onnx(path: Path, frames: Frames) -> Output:
    """An exported student frame by frame."""
    return run_session(onnx_session(path), frames)


def run_c(student: CStudent, frames: Frames) -> Output:
    """The C program frame by frame from the start of a signal."""
    student.reset()
    enhanced = np.stack([student.frame(frame) for frame in frames])
    return Output(enhanced, *student.state)


def prove(
    net: FTJNF, onnx_path: Path, frames: int = PROBE_FRAMES, seed: int = 0, c_student: CStudent | None = None
) -> float:
    """Runs an exported file, the network as a stream and the network on the whole, on the same frames.

    Args:
        net: the network, on the CPU.
        onnx_path: what `export_onnx` wrote.
        frames: L, how many.
        seed: of the signal that they are made of.
        c_student: the compiled C program, to be compared as well.

    Returns:
        Their `largest_difference`.
    """
    probe = probe_frames(net.size.microphones, frames, seed)
    outputs = [run_batch(net, probe), run_stream(net, probe), run_onnx(onnx_path, probe)]
    if c_student is not None:
        outputs.append(run_c(c_student, probe))
    return largest_difference(outputs)


def state_scale(state: Frames) -> float:
    """What differences of a state are measured by: its largest magnitude, or 1 if that is less.

    A cell adds up to one a frame, so that some reach 100 within a proof, and float32 is exact to a share of that. `h`
    stays within 1, and so do its differences: they are measured as they are, like those of enhanced frames.
    """
    return float(np.maximum(1, np.abs(state).max()))  # of NumPy, which keeps a NaN, and not Python's


def largest_difference(outputs: Sequence[Output]) -> float:
    """The largest difference between any two outputs, over all enhanced frames and the last states.

    Differences of enhanced frames are absolute, those of states relative to the `state_scale` of the first output's.
    NaN if one of them holds NaN.
    """
    spans = {
        part: np.ptp([getattr(output, part) for output in outputs], axis=0).max() for part in ("enhanced", "h", "c")
    }
    scales = {"enhanced": 1.0, "h": state_scale(outputs[0].h), "c": state_scale(outputs[0].c)}
    return float(np.max([span / scales[part] for part, span in spans.items()]))


def prove_hops(net: FTJNF, c_student: CStudent, hops: int = 100, seed: int = 0) -> float:
    """The largest absolute difference in samples between the C program, hop by hop, and the network on the whole."""
    signal = probe_signal(net.size.microphones, hops * HOP, seed)
    with torch.no_grad():
        spectrum = stft(torch.from_numpy(signal)[None])
        whole = istft(net(spectrum).mask * spectrum[:, REFERENCE], signal.shape[-1])[0].numpy()
    c_student.reset()
    blocks = [*np.split(signal.T, hops), np.zeros((HOP, len(signal)), np.float32)]
    streamed = np.concatenate([c_student.hop(block) for block in blocks])[HOP:]
    return float(np.abs(streamed - whole).max())


def proved(proof: Mapping[str, Any]) -> str:
    """What an export has proved, and what not, in a sentence without its stop.

    Args:
        proof: what `model.export.export_student` returns.
    """
    hops, pesq = proof["c_hops_largest_difference"], proof["pesq"]
    which = "stream, batch and ONNX" if hops is None else "stream, batch, ONNX and C"
    parts = [f"{which} agree within {proof['largest_difference']:.1e} over {proof['frames']} frames"]
    parts.append(f"student.c was {proof['c']}" if hops is None else f"C on samples within {hops:.1e} of full scale")
    if "left_out" in pesq:
        parts.append(f"PESQ was not compared, as {pesq['left_out']}")
    else:
        within, on = f"{pesq['largest_difference']:.1e}", f"{pesq['clips']} test clips at {len(pesq['snrs'])} SNRs"
        parts.append(f"PESQ of ONNX is the network's within {within} on {on}")
    return "; ".join(parts)
