"""Scores of an enhancer on a "score" set: the same clips at five SNRs, wide-band PESQ, and what stands beside it.

`pesq` everywhere in this project is the mean over the five SNRs of the per-SNR median over clips.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data import RATE
from data.array import Array
from data.scene import SNRS_DB
from model.allocator import release_freed_memory
from model.ftjnf import FTJNF, REFERENCE
from model.pesq_pool import Pair, PesqPool

UNSCORED_STOI = 1e-5
"""What pystoi returns, with a warning, for a clip with too little speech."""
Enhancer = Callable[[Tensor], Tensor]
"""(B, M, N) noisy microphone signals -> (B, N) estimate."""


class ScoreSet(Protocol):
    """Examples that can be scored: those of a clip at the five SNRs, one after the other."""

    @property
    def lengths(self) -> NDArray[np.int64]:
        """(n,) samples of each."""
        ...

    def __len__(self) -> int: ...

    def target(self, index: int) -> NDArray[np.float32]:
        """(N,) clean anechoic speech."""
        ...

    def batch(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """(B, M, N) noisy and (B, N) clean."""
        ...


def unprocessed(noisy: Tensor) -> Tensor:
    """The noisy reference microphone."""
    return noisy[:, REFERENCE]


def delay_and_sum(array: Array) -> Enhancer:
    """The delay-and-sum beamformer towards the front (azimuth 0): what the array gives without a network.

    Args:
        array: its geometry.
    """
    delays = torch.from_numpy(array.delays(0.0, 0.0))

    def enhance(noisy: Tensor) -> Tensor:
        samples = noisy.shape[-1]
        size = samples + 64  # room for the fractional delays' tails
        omega = torch.arange(size // 2 + 1, dtype=torch.float64) * (2 * torch.pi / size)
        steering = torch.polar(torch.ones(len(delays), len(omega), dtype=torch.float64), delays[:, None] * omega)
        spectrum = torch.fft.rfft(noisy, n=size) * steering.to(torch.complex64)
        return torch.fft.irfft(spectrum.mean(dim=1), n=size)[..., :samples]

    return enhance


def enhanced(
    enhancer: Enhancer, examples: ScoreSet, device: torch.device | str = "cpu"
) -> Iterator[NDArray[np.float32]]:
    """The estimate of every example in order, (N,) each; examples of one length and clip go through together."""
    first = 0
    while first < len(examples):
        last = first + 1
        while (
            last < len(examples) and last - first < len(SNRS_DB) and examples.lengths[last] == examples.lengths[first]
        ):
            last += 1
        noisy, _ = examples.batch(range(first, last))
        with torch.inference_mode():
            yield from enhancer(noisy.to(device)).cpu().numpy()
        first = last


@dataclass(frozen=True)
class Scores:
    """Scores by clip and SNR.

    Args:
        pesq: (clips, 5) wide-band PESQ; columns as `SNRS_DB`; NaN where a clip could not be scored.
        si_sdr: (clips, 5) scale-invariant signal-to-distortion ratio in dB, or None.
        estoi: (clips, 5) extended short-time objective intelligibility, or None.
    """

    pesq: NDArray[np.float64]
    si_sdr: NDArray[np.float64] | None = None
    estoi: NDArray[np.float64] | None = None

    @classmethod
    def joined(cls, parts: Sequence[Scores]) -> Scores:
        """Those of several portions of clips, in order; a measure that one of them lacks is left out."""

        def tables(name: str) -> NDArray[np.float64] | None:
            values = [getattr(part, name) for part in parts]
            return None if any(value is None for value in values) else np.concatenate(values)

        return cls(np.concatenate([part.pesq for part in parts]), tables("si_sdr"), tables("estoi"))

    @property
    def unscored(self) -> int:
        """How many of the clips at all SNRs PESQ could not score."""
        return int(np.isnan(self.pesq).sum())

    @property
    def by_snr(self) -> dict[str, float]:
        """Median PESQ over clips by SNR in dB ("-5", "0", ...)."""
        return {f"{snr:g}": value for snr, value in zip(SNRS_DB, _median(self.pesq), strict=True)}

    @property
    def mean(self) -> float:
        """`pesq`: the mean over SNRs of the per-SNR median."""
        return float(np.mean(_median(self.pesq)))

    def summary(self) -> dict[str, Any]:
        """All figures as JSON-serialisable values; `spread_by_snr` are the quartiles over clips."""
        quartiles = {
            f"{snr:g}": [float(q) for q in np.nanpercentile(column, [25, 75])] if np.isfinite(column).any() else []
            for snr, column in zip(SNRS_DB, self.pesq.T, strict=True)
        }
        out: dict[str, Any] = {
            "pesq": self.mean,
            "pesq_by_snr": self.by_snr,
            "spread_by_snr": quartiles,
            "clips": len(self.pesq),
            "unscored": self.unscored,
        }
        for name in ("si_sdr", "estoi"):
            values = getattr(self, name)
            if values is not None:
                out[name] = float(np.mean(_median(values)))
        return out


def _median(scores: NDArray[np.float64]) -> list[float]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a column without any scored clip is NaN, and says so itself
        return [float(value) for value in np.nanmedian(scores, axis=0)]


def score(
    enhancer: Enhancer,
    examples: ScoreSet,
    pool: PesqPool,
    *,
    device: torch.device | str = "cpu",
    more: bool = False,
    progress: Callable[[float], None] | None = None,
) -> Scores:
    """Scores an enhancer on a set of role "score".

    Args:
        enhancer: a network's `enhance`, `unprocessed`, or `delay_and_sum(...)`.
        examples: the set.
        pool: where PESQ runs.
        device: where the enhancer runs.
        more: also SI-SDR and ESTOI.
        progress: called with the share that is done.
    """
    si_sdr, estoi, scores = [], [], []
    for pairs in _portions(enhancer, examples, device):
        if more:
            si_sdr += [_si_sdr(reference, estimate) for reference, estimate in pairs]
            estoi += [_estoi(reference, estimate) for reference, estimate in pairs]
        scores += pool.scores(pairs)
        if progress is not None:
            progress(len(scores) / len(examples))
    return Scores(_table(scores), _table(si_sdr) if more else None, _table(estoi) if more else None)


def begin_score(
    enhancer: Enhancer, examples: ScoreSet, pool: PesqPool, *, device: torch.device | str = "cpu"
) -> Callable[[], Scores]:
    """As `score`, but returns as soon as the enhancer has run on all examples, whose PESQ the pool goes on with.

    All estimates are held in memory until then.

    Returns:
        What waits for the scores.
    """
    begun = [pool.begin(pairs) for pairs in _portions(enhancer, examples, device)]
    return lambda: Scores(_table([one for scores in begun for one in scores()]))


def _portions(enhancer: Enhancer, examples: ScoreSet, device: torch.device | str) -> Iterator[list[Pair]]:
    """Clean speech and estimate of all examples in order, some at a time."""
    pairs: list[Pair] = []
    for index, estimate in enumerate(enhanced(enhancer, examples, device)):
        pairs.append((np.array(examples.target(index)), estimate))
        if len(pairs) == 4 * len(SNRS_DB) or index == len(examples) - 1:
            yield pairs
            pairs = []
            release_freed_memory()  # clips differ in length


def _table(scores: Sequence[float]) -> NDArray[np.float64]:
    return np.asarray(scores, dtype=np.float64).reshape(-1, len(SNRS_DB))


def _si_sdr(reference: NDArray[np.float32], estimate: NDArray[np.float32]) -> float:
    from torchmetrics.functional.audio import scale_invariant_signal_distortion_ratio

    value = scale_invariant_signal_distortion_ratio(torch.from_numpy(estimate), torch.from_numpy(reference))
    return float(value)


def _estoi(reference: NDArray[np.float32], estimate: NDArray[np.float32]) -> float:
    """ESTOI of one clip; NaN where it cannot be scored (too little speech, not finite). Never raises for that."""
    from pystoi import stoi

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # said with the value below
            value = float(stoi(reference, estimate, RATE, extended=True))
    except (ValueError, IndexError):  # shorter than one of its frames
        return float("nan")
    return float("nan") if value == UNSCORED_STOI else value


def network_enhancer(net: FTJNF) -> Enhancer:
    """A network as an enhancer, in evaluation mode."""
    return net.eval().enhance
