"""Validation PESQ of one student on its way: in its own process, or beside its training."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType

import torch

from model.ftjnf import FTJNF
from model.pesq_pool import PesqPool
from model.score import Scores, ScoreSet, begin_score, network_enhancer


class Judge:
    """Scores the networks of one training.

    On the CPU the cores are the trainings' own, so that a student scores itself and nothing is gained by letting others
    do it. Where a GPU trains, PESQ would have it wait; there the network's estimates are made on it, which takes an
    instant, and PESQ of them runs in processes beside the next epoch.

    Args:
        examples: of role "score".
        device: the training's.
        workers: processes for PESQ; 0 scores in this process.

    Attributes:
        beside: whether PESQ runs beside what comes next.
        seconds: that the training waited for scores.
    """

    def __init__(self, examples: ScoreSet, device: torch.device, workers: int) -> None:
        self._examples, self._device = examples, device
        self._pool = PesqPool(workers)
        self.beside = workers > 0
        self.seconds = 0.0

    def begin(self, network: FTJNF) -> Callable[[], Scores]:
        """Begins to score a network, which may be trained on at once. Returns what waits for its scores."""
        started = time.monotonic()
        ready = begin_score(network_enhancer(network.to(self._device)), self._examples, self._pool, device=self._device)
        self.seconds += time.monotonic() - started

        def wait() -> Scores:
            began = time.monotonic()
            scores = ready()
            self.seconds += time.monotonic() - began
            return scores

        return wait

    def __call__(self, network: FTJNF) -> Scores:
        """Scores a network."""
        return self.begin(network)()

    def __enter__(self) -> Judge:
        self._pool.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.__exit__(kind, error, trace)
