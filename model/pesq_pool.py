"""Wide-band PESQ (P.862.2) in processes: the package holds the interpreter's lock, threads gain nothing.

Imports no torch itself; but a spawned worker first imports the program's main module, and what that imports.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from data import RATE

Pair = tuple[NDArray[np.float32], NDArray[np.float32]]


def wideband_pesq(reference: NDArray[np.float32], degraded: NDArray[np.float32]) -> float:
    """PESQ of one clip, MOS-LQO; NaN where it cannot be scored (silent, too short, not finite). Never raises for that.

    Args:
        reference: (N,) clean speech at 16 kHz.
        degraded: (N,) what is judged.
    """
    import pesq

    if not (np.isfinite(degraded).all() and np.abs(degraded).max(initial=0.0) > 0):
        return math.nan
    try:
        score = pesq.pesq(RATE, np.asarray(reference, np.float32), np.asarray(degraded, np.float32), "wb")
    except (pesq.PesqError, ValueError):
        return math.nan
    return float(score) if math.isfinite(score) and score > 0 else math.nan


def _score(pair: Pair) -> float:
    return wideband_pesq(*pair)


def _end_with_parent() -> None:
    """Ends this worker when the process that began it is gone; one that was killed cannot tell its workers to stop."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


class PesqPool:
    """Scores clips in worker processes; with `workers=0` in this one.

    Args:
        workers: number of processes.
    """

    def __init__(self, workers: int = 0) -> None:
        context = multiprocessing.get_context("spawn")
        self._pool = (
            ProcessPoolExecutor(workers, mp_context=context, initializer=_end_with_parent) if workers > 0 else None
        )

    def begin(self, pairs: Sequence[Pair]) -> Callable[[], list[float]]:
        """As `scores`, but waits only when what it returns is called; with no workers all is done at once."""
        if self._pool is None:
            done = [_score(pair) for pair in pairs]
            return lambda: done
        begun = [self._pool.submit(_score, pair) for pair in pairs]
        return lambda: [one.result() for one in begun]

    def scores(self, pairs: Sequence[Pair]) -> list[float]:
        """PESQ of (reference, degraded) pairs, in order; NaN where a clip cannot be scored."""
        return self.begin(pairs)()

    def __enter__(self) -> PesqPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
