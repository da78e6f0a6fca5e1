"""PESQ of finished networks and of what stands beside them, in Ray's workers: some clips each, on all cores at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from data.array import Array
from data.examples import ExampleSet
from data.files import file_digest
from data.plan import DataPlan, Sets, open_sets
from data.scene import SNRS_DB
from model.allocator import keep_freed_memory
from model.ftjnf import Size
from model.pesq_pool import PesqPool
from model.precision import choose_device
from model.score import Enhancer, Scores, delay_and_sum, network_enhancer, score, unprocessed
from model.weights import load_network
from search.beside import BASELINES, Beside
from search.results import Record
from search.standing import scored_weights
from search.teaching import SearchTeacher, too_small
from search.test_scores import StoredScores

PORTION = 10
"""Clips of one call. A large teacher alone would keep one core busy for hours after all others were done."""


@dataclass(frozen=True)
class Share:
    """What a student has of a machine.

    Args:
        cpus: cores.
        gpus: share of a GPU; 0 scores on the CPU.
    """

    cpus: float = 1.0
    gpus: float = 0.0

    @property
    def gpus_a_core(self) -> float:
        """Of a scoring, which is one core's: PESQ runs there."""
        return self.gpus / max(1.0, self.cpus)


@dataclass(frozen=True)
class ScoreJob:
    """An enhancer to be scored on some clips.

    Args:
        what: "unprocessed", "delay-and-sum", or the path of a network's weights.
        split: "val" or "test".
        data: the data plan.
        sets: `Sets.folders`.
        cache: root of the cache.
        more: also SI-SDR and ESTOI.
        clips: the first, and the one after the last; None for all.
        gpu: whether a network runs on the GPU that Ray gave.
    """

    what: str
    split: str
    data: DataPlan
    sets: dict[str, str]
    cache: Path
    more: bool = False
    clips: tuple[int, int] | None = None
    gpu: bool = False

    @property
    def is_network(self) -> bool:
        """Whether it can make use of a GPU."""
        return self.what not in BASELINES


class _Part:
    """Some neighbouring examples of a set."""

    def __init__(self, examples: ExampleSet, first: int, last: int) -> None:
        self._examples, self._first, self._number = examples, first, last - first
        self.lengths = examples.lengths[first:last]

    def __len__(self) -> int:
        return self._number

    def target(self, index: int) -> NDArray[np.float32]:
        return self._examples.target(self._first + index)

    def batch(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        return self._examples.batch([self._first + index for index in indices])


def run_score(job: ScoreJob) -> Scores:
    """Scores an enhancer in this process."""
    sets = open_sets(job.data, job.sets, job.cache)
    examples: ExampleSet = sets.score_test if job.split == "test" else sets.score_val
    first, last = job.clips or (0, len(examples) // len(SNRS_DB))
    part = _Part(examples, first * len(SNRS_DB), last * len(SNRS_DB))
    device = choose_device("auto" if job.gpu else "cpu")
    enhancer: Enhancer
    if job.what == "unprocessed":
        enhancer = unprocessed
    elif job.what == "delay-and-sum":
        enhancer = delay_and_sum(Array.parse(job.data.array))
    else:
        enhancer = network_enhancer(load_network(Path(job.what))[0].to(device))
    with PesqPool(0) as pool:
        return score(enhancer, part, pool, device=device, more=job.more)


def in_portions(job: ScoreJob, clips: int) -> list[ScoreJob]:
    """A job for each `PORTION` of so many clips."""
    return [replace(job, clips=(first, min(first + PORTION, clips))) for first in range(0, clips, PORTION)]


def score_all(
    enhancers: Sequence[Sequence[ScoreJob]],
    share: Share,
    tell: Callable[[int, int], None],
    keep: Callable[[int, Scores], None] | None = None,
) -> list[Scores]:
    """Scores several enhancers at once, in Ray's workers.

    Args:
        enhancers: the portions of each; the longest first, so that none is left over at the end.
        share: what a student has of a machine.
        tell: called every second, and after each portion, with the number done and the number of all.
        keep: called with the place in `enhancers` and the scores of each as it is done, before `tell`, which may raise.
    """
    import ray

    @ray.remote(num_cpus=1, max_retries=2)
    def remote(job: ScoreJob) -> Scores:
        import torch

        keep_freed_memory()
        torch.set_num_threads(1)
        return run_score(job)

    waiting = {
        remote.options(num_gpus=share.gpus_a_core if job.gpu else 0).remote(job): (place, i)
        for place, portions in enumerate(enhancers)
        for i, job in enumerate(portions)
    }
    found: dict[tuple[int, int], Scores] = {}
    whole: dict[int, Scores] = {}
    every = len(waiting)
    while waiting:
        done, _ = ray.wait(list(waiting), num_returns=1, timeout=1.0)
        for reference in done:
            place, i = waiting.pop(reference)
            found[place, i] = ray.get(reference)
            parts = [found.get((place, other)) for other in range(len(enhancers[place]))]
            if all(part is not None for part in parts):
                whole[place] = Scores.joined([part for part in parts if part is not None])
                if keep is not None:
                    keep(place, whole[place])
        tell(len(found), every)
    return [whole[place] for place in range(len(enhancers))]


@dataclass(frozen=True)
class Scorer:
    """Scores what a search needs scored by itself: what stands beside the students, and the front's test clips.

    Args:
        data: the data plan.
        sets: example sets.
        cache: root of the cache.
        teacher: of the search, or None.
        share: what a student has of a machine.
    """

    data: DataPlan
    sets: Sets
    cache: Path
    teacher: SearchTeacher | None
    share: Share = Share()

    def _portions(self, what: str, split: str, *, more: bool = False) -> list[ScoreJob]:
        job = ScoreJob(what, split, self.data, self.sets.folders, self.cache, more)
        examples = self.sets.score_test if split == "test" else self.sets.score_val
        return in_portions(replace(job, gpu=job.is_network and self.share.gpus > 0), len(examples) // len(SNRS_DB))

    def _names(self) -> dict[str, str]:
        """What is scored beside the students: enhancers by name, the longest to score first."""
        first = {} if self.teacher is None else {"teacher": str(self.teacher.path)}
        return first | {name: name for name in BASELINES}

    def beside(self, largest: Size, tell: Callable[[int, int], None]) -> Beside:
        """Validation scores of the unprocessed input, delay-and-sum and the teacher.

        Args:
            largest: size of a student.
            tell: as for `score_all`.
        """
        names = self._names()
        scores = score_all([self._portions(what, "val") for what in names.values()], self.share, tell)
        return Beside(
            val={name: one.summary() for name, one in zip(names, scores, strict=True)},
            teacher=None if self.teacher is None else str(self.teacher.net.size),
            warning=None if self.teacher is None else too_small(self.teacher.net, largest),
        )

    def test(
        self, folder: Path, front: Sequence[Record], tell: Callable[[int, int], None]
    ) -> tuple[dict[str, Scores], list[dict[int, Scores]]]:
        """Test scores of what stands beside the students, and of each member of the front by the number of its seed.

        Those that an earlier session has computed are taken from there. A seed whose weights are gone is left out.

        Args:
            folder: of the run.
            front: records, the cheapest first.
            tell: as for `score_all`.
        """
        stored = StoredScores(folder, self.sets.score_test.digest)
        wanted: dict[int | str, tuple[str, str | None]] = {name: (what, None) for name, what in self._names().items()}
        for record in reversed(front):  # the dearest first: they take longest
            for number in record["trials"]:
                weights = scored_weights(folder / "students" / f"{number:04d}")
                if weights.exists():
                    wanted[number] = (str(weights), file_digest(weights))
        missing = {what: one for what, one in wanted.items() if stored.get(what, one[1]) is None}
        jobs = [self._portions(path, "test", more=True) for path, _ in missing.values()]
        asked = list(missing.items())

        def keep(place: int, scores: Scores) -> None:
            """At once: who is stopped in these minutes shall not score again what was done."""
            what, (_, digest) = asked[place]
            stored.put(what, scores, digest)
            stored.write()

        score_all(jobs, self.share, tell, keep)
        found = {what: scores for what, (_, digest) in wanted.items() if (scores := stored.get(what, digest))}
        members = [{number: found[number] for number in record["trials"] if number in found} for record in front]
        return {what: one for what, one in found.items() if isinstance(what, str)}, members
