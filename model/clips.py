"""What an exported student is heard on before it is written: clips of its search, and its PESQ there."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data.errors import InputError
from data.examples import ExampleSet
from data.scene import SNRS_DB
from data.units import duration
from model.ftjnf import FTJNF
from model.pesq_pool import PesqPool
from model.proof import onnx_session, run_session
from model.quantise import ALLOWED_LOSS
from model.score import Enhancer, score
from model.stft import istft, stft

SAME_PESQ = 0.005
"""Largest difference in PESQ between the network and its export that is accepted, for any clip and for the mean."""
EVERY = 15.0
"""Seconds between two lines on how far the scores are."""
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Clips:
    """Sets of role "score", or why there are none.

    Args:
        val, test: the search's; None where they cannot be had.
        why: a sentence's end that says why they cannot.
        workers: processes that PESQ runs in; 0 for this one.
        network: (clips, 5) PESQ of the student's network on `test`, where it is known already.
    """

    val: ExampleSet | None
    test: ExampleSet | None
    why: str = ""
    workers: int = 0
    network: NDArray[np.float64] | None = None


def progress_lines(tell: Tell, what: str, clock: Callable[[], float] = time.monotonic) -> Callable[[float], None]:
    """What is called with the share that is done, and tells it and the time left every `EVERY` seconds.

    Args:
        tell: takes a line.
        what: is being done.
        clock: in seconds.
    """
    started = last = clock()

    def progress(share: float) -> None:
        nonlocal last
        now = clock()
        if 0 < share < 1 and now - last >= EVERY:
            last = now
            tell(f"{what}: {100 * share:.0f} %, {duration((now - started) * (1 - share) / share)} left for that")

    return progress


def onnx_enhancer(path: Path) -> Enhancer:
    """An exported student as an enhancer of whole signals: frame by frame, each signal from a fresh state."""
    session = onnx_session(path)

    def enhance(noisy: Tensor) -> Tensor:
        spectra = stft(noisy)  # (B, M, K, L)
        enhanced = []
        for spectrum in spectra:
            frames = torch.view_as_real(spectrum.permute(2, 0, 1).contiguous()).numpy()
            enhanced.append(torch.view_as_complex(torch.from_numpy(run_session(session, frames).enhanced)).T)
        return istft(torch.stack(enhanced), noisy.shape[-1])

    return enhance


def same_pesq(net: FTJNF, onnx_path: Path, clips: Clips, tell: Tell | None = None) -> dict[str, Any]:
    """Compares PESQ of the network and of its export, on all test clips at all SNRs.

    The network's known scores are taken where they are the export's. They may come from another machine: where they are
    not, the network is scored here as well.

    Args:
        net: on the CPU.
        onnx_path: its export.
        clips: `test` is heard.
        tell: called with what is being done.

    Returns:
        `clips`, `snrs`, `network` and `onnx` (mean PESQ), `largest_difference` of any clip at any SNR, `allowed`; or
        `left_out`, the reason.
    """
    test, tell = clips.test, tell or (lambda line: None)
    if test is None:
        return {"left_out": clips.why}
    on = f"on {len(test) // len(SNRS_DB)} test clips at {len(SNRS_DB)} SNRs"
    with PesqPool(clips.workers) as pool:

        def pesq(what: str, enhancer: Enhancer) -> NDArray[np.float64]:
            tell(f"PESQ of {what} {on}")
            return score(enhancer, test, pool, progress=progress_lines(tell, f"PESQ of {what}")).pesq

        export, network = pesq("student.onnx", onnx_enhancer(onnx_path)), clips.network
        if network is None or not _largest(network, export) <= SAME_PESQ:
            network = pesq("the network", net.eval().enhance)
    both = np.isfinite(network) & np.isfinite(export)
    return {
        "clips": len(network),
        "snrs": list(SNRS_DB),
        "network": float(network[both].mean()) if both.any() else None,
        "onnx": float(export[both].mean()) if both.any() else None,
        "largest_difference": _largest(network, export),
        "allowed": SAME_PESQ,
    }


def _largest(network: NDArray[np.float64], export: NDArray[np.float64]) -> float:
    """The largest difference between (clips, 5) scores; infinite where only one of them could be scored."""
    if network.shape != export.shape or (np.isnan(network) != np.isnan(export)).any():
        return float("inf")
    return float(np.nan_to_num(np.abs(network - export)).max(initial=0))


def judge_int8(onnx_path: Path, int8_path: Path, clips: Clips, tell: Tell | None = None) -> dict[str, Any]:
    """Whether weights of 8 bits may be kept, by PESQ on all validation clips.

    Args:
        onnx_path, int8_path: the student with fp32 and with int8 weights.
        clips: `val` is heard.
        tell: called with what is being done.

    Returns:
        `kept`, `why`, and where it was measured `clips`, `pesq_fp32` and `pesq_int8`.
    """
    val, tell = clips.val, tell or (lambda line: None)
    if val is None:
        return {"kept": False, "why": f"not measured, as {clips.why}"}
    with PesqPool(clips.workers) as pool:

        def pesq(bits: str, path: Path) -> float:
            tell(f"PESQ with weights of {bits} on {len(val) // len(SNRS_DB)} validation clips at {len(SNRS_DB)} SNRs")
            return score(onnx_enhancer(path), val, pool, progress=progress_lines(tell, f"weights of {bits}")).mean

        fp32, int8 = pesq("32 bits", onnx_path), pesq("8 bits", int8_path)
    loss = fp32 - int8
    kept = bool(loss <= ALLOWED_LOSS)  # a NaN is refused
    figures = f"validation PESQ {int8:.3f} against {fp32:.3f} of fp32 on {len(val) // len(SNRS_DB)} clips"
    why = f"{figures}; a loss of up to {ALLOWED_LOSS:g} is allowed"
    measured = {"clips": len(val) // len(SNRS_DB), "pesq_fp32": fp32, "pesq_int8": int8, "loss": loss}
    return {"kept": kept, "why": why} | measured


def check_pesq(found: Mapping[str, Any], error: Callable[[str], InputError]) -> None:
    """Makes sure of what `same_pesq` found.

    Raises:
        InputError: made by `error`: the PESQ of a clip is another.
    """
    if "left_out" not in found and not found["largest_difference"] <= SAME_PESQ:
        raise error(
            f"the exported student's PESQ differs from its network's by {found['largest_difference']:.3f} on a test "
            f"clip, and {SAME_PESQ:g} is allowed"
        )
