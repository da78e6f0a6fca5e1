"""A student for a device: one ONNX file that enhances frame by frame, proved equal to the network before it is kept."""

from __future__ import annotations

import copy
import json
import secrets
import shutil
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from data import RATE
from data.errors import InputError
from data.files import write_atomic, write_json
from model.card import card
from model.ftjnf import FTJNF, REFERENCE, Size
from model.macs import fp32_bytes, gmac_per_s, mmac_per_frame, paper_gmac, parameters
from model.stft import BINS, FRAME, HOP, LATENCY, stft
from model.weights import save_network

TOLERANCE = 1e-4
"""Largest difference between the network and its export that is accepted, in units of the STFT."""
OPSET = 17

Frames = NDArray[np.float32]


class ExportError(InputError):
    """The exported file does not compute what the network computes, so nothing was written."""


@dataclass(frozen=True)
class Output:
    """What a stream of L frames gave: `enhanced` (L, K, 2) and the T-LSTM's last state `h` and `c`, each (1, K, T)."""

    enhanced: Frames
    h: Frames
    c: Frames


class _OneFrame(nn.Module):
    """The network's layers on one frame, in real arithmetic, since ONNX has no complex numbers."""

    def __init__(self, net: FTJNF) -> None:
        super().__init__()
        self.net = net

    def forward(self, noisy: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        features = torch.cat((noisy[..., 0], noisy[..., 1]), dim=1).transpose(1, 2)  # (1, K, 2M)
        over_frequency, _ = self.net.f_lstm(features)  # (1, K, F), or 2F if bi_freq
        over_time, (h, c) = self.net.t_lstm(over_frequency.transpose(0, 1), (h, c))  # (K, 1, T)
        mask = torch.tanh(self.net.linear(over_time)).transpose(0, 1)  # (1, K, 2)
        reference = noisy[:, REFERENCE]  # (1, K, 2)
        real = mask[..., 0] * reference[..., 0] - mask[..., 1] * reference[..., 1]
        imag = mask[..., 0] * reference[..., 1] + mask[..., 1] * reference[..., 0]
        return torch.stack((real, imag), dim=-1), h, c


def export_onnx(net: FTJNF, path: Path) -> None:
    """Writes the network as one ONNX file (opset 17) for one frame, its T-LSTM state going in and out.

    Inputs, all float32: `noisy` (1, M, K, 2), one STFT frame of the M microphones as real and imaginary part; `h` and
    `c` (1, K, T), zeros before the first frame. Outputs: `enhanced` (1, K, 2), `h_out`, `c_out`. Names, shapes and the
    framing are in the file's metadata.

    Args:
        net: of any size, direction over frequency and number of microphones; left as it is.
        path: of the file, written whole or not at all.
    """
    import onnx  # half a second to import, and only the export needs it

    size = net.size
    module = _OneFrame(copy.deepcopy(net).to("cpu", torch.float32)).eval()
    state = torch.zeros(1, BINS, size.t_hidden)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # the exporter is the deprecated one (the new one needs onnxscript and leaves weights unfolded); it also warns
        # that shapes and the batch of the T-LSTM, the K bins, are fixed, as they are meant to be
        warnings.simplefilter("ignore")
        traced = Path(folder) / "student.onnx"
        torch.onnx.export(
            module,
            (torch.zeros(1, size.microphones, BINS, 2), state, state.clone()),
            traced,
            input_names=["noisy", "h", "c"],
            output_names=["enhanced", "h_out", "c_out"],
            opset_version=OPSET,
            dynamo=False,
        )
        model = onnx.load(traced)
    onnx.helper.set_model_props(model, {key: json.dumps(value) for key, value in _interface(size).items()})
    onnx.checker.check_model(model)
    write_atomic(path, model.SerializeToString())


def _interface(size: Size) -> dict[str, Any]:
    """What a program that runs the student must know."""
    state = [1, BINS, size.t_hidden]
    return {
        "architecture": "FT-JNF",
        "size": asdict(size),
        "inputs": {"noisy": [1, size.microphones, BINS, 2], "h": state, "c": state},
        "outputs": {"enhanced": [1, BINS, 2], "h_out": state, "c_out": state},
        "sample_rate_hz": RATE,
        "bins": BINS,
        "frame_samples": FRAME,
        "hop_samples": HOP,
        "window": "square root of the periodic Hann window, for analysis and synthesis",
        "latency_samples": LATENCY,
        "reference_microphone": REFERENCE,
    }


def probe_frames(microphones: int, count: int = 100, seed: int = 0) -> Frames:
    """STFT frames (L, M, K, 2) of white noise that rises from -60 to -6 dBFS: what a proof is made on."""
    samples = (count - 1) * HOP
    noise = np.random.default_rng(seed).standard_normal((microphones, samples)) * np.logspace(-3, -0.3, samples)
    spectrum = stft(torch.from_numpy(noise)).to(torch.complex64)  # (M, K, L)
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


def run_onnx(path: Path, frames: Frames) -> Output:
    """An exported student frame by frame, by onnxruntime on one CPU thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors only
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    shapes = {node.name: node.shape for node in session.get_inputs()}
    h, c = np.zeros(shapes["h"], np.float32), np.zeros(shapes["c"], np.float32)
    enhanced = []
    for frame in frames:
        one, h, c = session.run(["enhanced", "h_out", "c_out"], {"noisy": frame[None], "h": h, "c": c})
        enhanced.append(one[0])
    return Output(np.stack(enhanced), h, c)


def prove(net: FTJNF, onnx_path: Path, frames: int = 100, seed: int = 0) -> float:
    """Runs an exported file, the network as a stream and the network on the whole, on the same frames.

    Args:
        net: the network, on the CPU.
        onnx_path: what `export_onnx` wrote.
        frames: L, how many.
        seed: of the noise that they are made of.

    Returns:
        The largest absolute difference between any two of the three, over all enhanced frames and the last states; NaN
        if one of them gives NaN.
    """
    probe = probe_frames(net.size.microphones, frames, seed)
    outputs = [run_batch(net, probe), run_stream(net, probe), run_onnx(onnx_path, probe)]
    spans = [np.ptp([getattr(output, part) for output in outputs], axis=0).max() for part in ("enhanced", "h", "c")]
    return float(np.max(spans))  # of NumPy, which keeps a NaN, and not Python's


def check_vacant(folder: Path) -> None:
    """Makes sure that a folder can be written without touching what somebody has there.

    Raises:
        InputError: the folder exists and is not empty, or is a file.
    """
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        what = "is not empty" if folder.is_dir() else "is a file"
        raise InputError(f"{folder} {what}; remove it or choose another folder with --out")


def export_student(
    net: FTJNF,
    recipe: Mapping[str, Any],
    folder: Path,
    *,
    origin: Mapping[str, Any] | None = None,
    notes: Sequence[str] = (),
) -> float:
    """Writes a student's folder, if the export computes what the network computes; else nothing.

    The folder holds `student.onnx` (see `export_onnx`), `student.safetensors` (see `model.weights`), `config.json`
    (interface, costs, proof, origin, recipe), `golden.npz` (`noisy` (100, M, K, 2), `h` and `c` before the first frame,
    expected `enhanced` (100, K, 2), `h_out` and `c_out` after the last) and `CARD.md`.

    Args:
        net: the student, on the CPU.
        recipe: how it was made, as in the metadata of its weights.
        folder: where to; new or empty.
        origin: where it comes from and why it was chosen, for `config.json`.
        notes: lines on its scores, for `CARD.md`.

    Returns:
        The largest difference that `prove` found.

    Raises:
        InputError: the folder is taken or cannot be made.
        ExportError: the difference is above `TOLERANCE`, or not a number.
    """
    folder = Path(folder).resolve()
    check_vacant(folder)
    # beside the folder, so that the last step is one rename within a file system
    partial = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.partial")
    try:
        partial.mkdir(parents=True)
        export_onnx(net, partial / "student.onnx")
        difference = prove(net, partial / "student.onnx")
        if not difference <= TOLERANCE:  # a NaN is caught too
            raise ExportError(
                f"the exported student differs from its network by {difference:.2g}, and {TOLERANCE:g} is allowed, so "
                f"{folder} was not written; try the tested versions of torch, onnx and onnxruntime (-c constraints.txt)"
            )
        save_network(net, partial / "student.safetensors", dict(recipe))
        probe = probe_frames(net.size.microphones)
        expected = run_stream(net, probe)
        start = np.zeros_like(expected.h)
        np.savez(partial / "golden.npz", noisy=probe, h=start, c=start, enhanced=expected.enhanced,
                 h_out=expected.h, c_out=expected.c)  # fmt: skip
        config = {
            **_interface(net.size),
            "cost": _cost(net.size),
            "proof": {"largest_difference": difference, "frames": len(probe), "allowed": TOLERANCE},
            "origin": dict(origin or {}),
            "recipe": dict(recipe),
        }
        write_json(partial / "config.json", config)
        write_atomic(partial / "CARD.md", card(config, notes))
        partial.replace(folder)
    except OSError as error:
        raise InputError(f"{folder} cannot be written ({error.strerror or error}); choose another with --out") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return difference


def _cost(size: Size) -> dict[str, float]:
    return {
        "parameters": parameters(size),
        "fp32_bytes": fp32_bytes(size),
        "state_bytes": 2 * 4 * BINS * size.t_hidden,
        "paper_gmac": paper_gmac(size),
        "gmac_per_s": gmac_per_s(size),
        "mmac_per_frame": mmac_per_frame(size),
    }
