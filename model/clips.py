"""What an exported student is heard on before it is written: clips of its search, and its PESQ there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
from model.ftjnf import FTJNF
from model.pesq_pool import PesqPool
from model.proof import onnx_session, run_session
from model.quantise import ALLOWED_LOSS
from model.score import Enhancer, score
from model.stft import istft, stft

SAME_PESQ = 0.005
"""Largest difference in PESQ between the network and its export that is accepted, for any clip and for the mean."""
TEST_CLIPS = 2
"""So many test clips, each at five SNRs, tell whether network and export sound the same: a difference that matters is
there in each of them."""


@dataclass(frozen=True)
class Clips:
    """Sets of role "score", or why there are none.

    Args:
        val, test: the search's; None where they cannot be had.
        why: a sentence's end that says why they cannot.
        workers: processes that PESQ runs in; 0 for this one.
    """

    val: ExampleSet | None
    test: ExampleSet | None
    why: str = ""
    workers: int = 0


class Few:
    """The first clips of a set, at all SNRs, in the place of the set.

    Args:
        whole: of role "score".
        clips: how many.
    """

    def __init__(self, whole: ExampleSet, clips: int) -> None:
        self.whole = whole
        self._lengths = whole.lengths[: clips * len(SNRS_DB)]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """As `ExampleSet.lengths`."""
        return self._lengths

    def __len__(self) -> int:
        return len(self._lengths)

    def target(self, index: int) -> NDArray[np.float32]:
        """As `ExampleSet.target`."""
        return self.whole.target(index)

    def batch(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """As `ExampleSet.batch`."""
        return self.whole.batch(indices)


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


def same_pesq(net: FTJNF, onnx_path: Path, clips: Clips) -> dict[str, Any]:
    """Scores the network and its export on a few test clips.

    Returns:
        `clips`, `snrs`, `network` and `onnx` (mean PESQ), `largest_difference` of any clip; or `left_out`, the reason.
    """
    if clips.test is None:
        return {"left_out": clips.why}
    few = Few(clips.test, TEST_CLIPS)
    with PesqPool(0) as pool:  # so few that starting processes would take longer
        network, export = (score(one, few, pool).pesq for one in (net.eval().enhance, onnx_enhancer(onnx_path)))
    different = np.isnan(network) != np.isnan(export)  # one scored and the other not
    both = np.isfinite(network) & np.isfinite(export)
    return {
        "clips": len(network),
        "snrs": list(SNRS_DB),
        "network": float(network[both].mean()) if both.any() else None,
        "onnx": float(export[both].mean()) if both.any() else None,
        "largest_difference": float("inf") if different.any() else float(np.abs(network - export)[both].max(initial=0)),
        "allowed": SAME_PESQ,
    }


def judge_int8(onnx_path: Path, int8_path: Path, clips: Clips) -> dict[str, Any]:
    """Whether weights of 8 bits may be kept, by PESQ on all validation clips.

    Returns:
        `kept`, `why`, and where it was measured `clips`, `pesq_fp32` and `pesq_int8`.
    """
    if clips.val is None:
        return {"kept": False, "why": f"not measured, as {clips.why}"}
    with PesqPool(clips.workers) as pool:
        fp32, int8 = (score(onnx_enhancer(path), clips.val, pool).mean for path in (onnx_path, int8_path))
    loss = fp32 - int8
    kept = bool(loss <= ALLOWED_LOSS)  # a NaN is refused
    figures = f"validation PESQ {int8:.3f} against {fp32:.3f} of fp32 on {len(clips.val) // len(SNRS_DB)} clips"
    why = f"{figures}; a loss of up to {ALLOWED_LOSS:g} is allowed"
    measured = {"clips": len(clips.val) // len(SNRS_DB), "pesq_fp32": fp32, "pesq_int8": int8, "loss": loss}
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
