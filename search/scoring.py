"""PESQ of finished networks and of what stands beside them, in Ray's workers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from data.array import Array
from data.examples import ExampleSet
from data.plan import DataPlan, open_sets
from model.allocator import keep_freed_memory
from model.pesq_pool import PesqPool
from model.score import Enhancer, Scores, delay_and_sum, network_enhancer, score, unprocessed
from model.weights import load_network


@dataclass(frozen=True)
class ScoreJob:
    """One enhancer to be scored.

    Args:
        what: "unprocessed", "delay-and-sum", or the path of a network's weights.
        split: "val" or "test".
        data: the data plan.
        sets: `Sets.folders`.
        cache: root of the cache.
        more: also SI-SDR and ESTOI.
    """

    what: str
    split: str
    data: DataPlan
    sets: dict[str, str]
    cache: Path
    more: bool = False


def run_score(job: ScoreJob) -> Scores:
    """Scores one enhancer in this process."""
    sets = open_sets(job.data, job.sets, job.cache)
    examples: ExampleSet = sets.score_test if job.split == "test" else sets.score_val
    enhancer: Enhancer
    if job.what == "unprocessed":
        enhancer = unprocessed
    elif job.what == "delay-and-sum":
        enhancer = delay_and_sum(Array.parse(job.data.array))
    else:
        enhancer = network_enhancer(load_network(Path(job.what))[0])
    with PesqPool(0) as pool:
        return score(enhancer, examples, pool, more=job.more)


def score_all(jobs: Sequence[ScoreJob], tell: Callable[[int, int], None]) -> list[Scores]:
    """Scores several enhancers at once, in Ray's workers.

    Args:
        jobs: what to score; the longest first, so that none is left over at the end.
        tell: called every second, and after each, with the number done and the number of all.
    """
    import ray

    @ray.remote(num_cpus=1, max_retries=2)
    def remote(job: ScoreJob) -> Scores:
        import torch

        keep_freed_memory()
        torch.set_num_threads(1)
        return run_score(job)

    waiting = {remote.remote(job): i for i, job in enumerate(jobs)}
    found: dict[int, Scores] = {}
    while waiting:
        done, _ = ray.wait(list(waiting), num_returns=1, timeout=1.0)
        for reference in done:
            found[waiting.pop(reference)] = ray.get(reference)
        tell(len(found), len(jobs))
    return [found[i] for i in range(len(jobs))]
