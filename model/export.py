"""A student for a device: one ONNX file that enhances frame by frame, proved equal to the network before it is kept."""

from __future__ import annotations

import contextlib
import copy
import json
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from data import RATE
from data.errors import InputError
from data.files import making, plain, write_atomic, write_json
from model.c_source import TEMPLATES, c_constant_bytes, c_state_bytes, write_c
from model.c_student import CStudent
from model.card import card
from model.clips import Clips, Tell, check_pesq, judge_int8, same_pesq
from model.frame_time import engines, frame_times, summary
from model.ftjnf import FTJNF, REFERENCE, Size
from model.lineage import code_version
from model.macs import fp32_bytes, gmac_per_s, mmac_per_frame, paper_gmac, parameters
from model.proof import PROBE_FRAMES, TOLERANCE, probe_frames, prove, prove_hops, run_stream
from model.quantise import quantise
from model.stft import BINS, FRAME, HOP, LATENCY
from model.weights import save_network

RUN_FRAME = TEMPLATES / "run_frame.py"
OPSET = 17


class ExportError(InputError):
    """The exported file does not compute what the network computes, so nothing was written."""


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
    clips: Clips | None = None,
    sturdiness: str | None = None,
    tell: Tell | None = None,
) -> dict[str, Any]:
    """Writes a student's folder, if the export computes what the network computes; else nothing.

    The folder holds

    - `student.onnx` (see `export_onnx`), and `student.int8.onnx` if its validation PESQ allows it;
    - `student.c` and `student.h` (see `model.c_source`);
    - `student.safetensors` (see `model.weights`);
    - `golden.npz`: `noisy` (100, M, K, 2), `h` and `c` before the first frame, expected `enhanced` (100, K, 2), `h_out`
      and `c_out` after the last;
    - `run_frame.py`: wav in, wav out;
    - `config.json` (interface, costs, proof, times, origin, code, recipe) and `CARD.md`.

    Args:
        net: the student, on the CPU.
        recipe: how it was made, as in the metadata of its weights.
        folder: where to; new or empty.
        origin: where it comes from and why it was chosen, for `config.json`.
        notes: lines on its scores, for `CARD.md`.
        clips: what PESQ is taken on; None for nothing.
        sturdiness: a table on level, silence and other array geometries, as Markdown, for `CARD.md`, or why there is
            none, see `model.card.not_measured`.
        tell: called with what is being done, as it takes some time.

    Returns:
        What was proved, as in `config.json`; `model.proof.proved` says it in words.

    Raises:
        InputError: the folder is taken or cannot be made.
        ExportError: a difference is above `TOLERANCE`, or not a number; or PESQ differs on a test clip.
    """
    folder = Path(folder).resolve()
    check_vacant(folder)
    tell = tell or (lambda line: None)
    clips = clips or Clips(None, None, "no clips were given")
    with contextlib.ExitStack() as stack:
        with _writing(folder):
            partial = stack.enter_context(making(folder))
            export_onnx(net, partial / "student.onnx")
            write_c(net, partial)
        proof = _proof(net, partial, folder, clips, tell)
        int8 = _int8(partial, clips, tell)
        probe = probe_frames(net.size.microphones)
        expected = run_stream(net, probe)
        start = np.zeros_like(expected.h)
        tell("timing frames")
        config = {
            **_interface(net.size),
            "cost": _cost(net.size),
            "proof": proof,
            "int8": int8,
            "frame_time": summary(frame_times(engines(net, partial), probe)),
            "origin": dict(origin or {}),
            "code": code_version(),
            "recipe": dict(recipe),
        }
        text = card(config, notes, sturdiness)
        with _writing(folder):
            save_network(net, partial / "student.safetensors", dict(recipe))
            shutil.copyfile(RUN_FRAME, partial / RUN_FRAME.name)
            np.savez(partial / "golden.npz", noisy=probe, h=start, c=start, enhanced=expected.enhanced,
                     h_out=expected.h, c_out=expected.c)  # fmt: skip
            write_json(partial / "config.json", plain(config))
            write_atomic(partial / "CARD.md", text)
            partial.replace(folder)
    return proof


@contextlib.contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Around what writes files, and nothing else: the advice would be wrong for any other error."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{folder} cannot be written ({error.strerror or error}); choose another with --out") from None


def _proof(net: FTJNF, partial: Path, folder: Path, clips: Clips, tell: Tell) -> dict[str, Any]:
    """What shows that the files in `partial` compute what the network computes.

    Raises:
        ExportError: they do not.
    """
    tell("proving that stream, batch, ONNX and C agree")
    compiled, c = _compiled(partial, net.size)
    found: dict[str, Any] = {
        "largest_difference": prove(net, partial / "student.onnx", c_student=compiled),
        "frames": PROBE_FRAMES,
        "allowed": TOLERANCE,
        "c": c,
        "c_hops_largest_difference": None if compiled is None else prove_hops(net, compiled),
    }
    for difference in (found["largest_difference"], found["c_hops_largest_difference"] or 0.0):
        if not difference <= TOLERANCE:  # a NaN is caught too
            raise ExportError(
                f"the exported student differs from its network by {difference:.2g}, and {TOLERANCE:g} is allowed, so "
                f"{folder} was not written; try the tested versions of torch, onnx and onnxruntime (-c constraints.txt)"
            )
    found["pesq"] = same_pesq(net, partial / "student.onnx", clips, tell)
    check_pesq(found["pesq"], lambda fault: ExportError(f"{fault}, so {folder} was not written; run it once more"))
    return found


def _compiled(partial: Path, size: Size) -> tuple[CStudent | None, str]:
    """The C program, and what to say of it: a machine that cannot run it must not keep the other files back."""
    try:
        return CStudent(partial, size), "compiled and compared"
    except InputError as error:
        return None, f"not proved, as {str(error).replace(f'{partial}/', '')}"


def _int8(partial: Path, clips: Clips, tell: Tell) -> dict[str, Any]:
    """Makes `student.int8.onnx` and keeps it, or not; what is to be told of that."""
    target = partial / "student.int8.onnx"
    if clips.val is not None:
        quantise(partial / "student.onnx", target)
    judged = judge_int8(partial / "student.onnx", target, clips, tell)
    if not judged["kept"]:
        target.unlink(missing_ok=True)
    return judged


def _cost(size: Size) -> dict[str, float]:
    return {
        "parameters": parameters(size),
        "fp32_bytes": fp32_bytes(size),
        "c_constant_bytes": c_constant_bytes(size),
        "c_state_bytes": c_state_bytes(size),
        "state_bytes": 2 * 4 * BINS * size.t_hidden,
        "paper_gmac": paper_gmac(size),
        "gmac_per_s": gmac_per_s(size),
        "mmac_per_frame": mmac_per_frame(size),
    }
