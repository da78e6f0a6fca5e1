"""PESQ of finished networks and of what stands beside them, in Ray's workers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from data.array import Array
from data.examples import ExampleSet
from data.files import file_digest
from data.plan import DataPlan, Sets, open_sets
from model.allocator import keep_freed_memory
from model.ftjnf import Size
from model.pesq_pool import PesqPool
from model.score import Enhancer, Scores, delay_and_sum, network_enhancer, score, unprocessed
from model.weights import load_network
from search.beside import BASELINES, Beside
from search.results import WEIGHTS, Record
from search.teaching import SearchTeacher, too_small
from search.test_scores import StoredScores


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


def score_all(
    jobs: Sequence[ScoreJob], tell: Callable[[int, int], None], keep: Callable[[int, Scores], None] | None = None
) -> list[Scores]:
    """Scores several enhancers at once, in Ray's workers.

    Args:
        jobs: what to score; the longest first, so that none is left over at the end.
        tell: called every second, and after each, with the number done and the number of all.
        keep: called with the place in `jobs` and the scores of each as it is done, before `tell`, which may raise.
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
            place = waiting.pop(reference)
            found[place] = ray.get(reference)
            if keep is not None:
                keep(place, found[place])
        tell(len(found), len(jobs))
    return [found[i] for i in range(len(jobs))]


@dataclass(frozen=True)
class Scorer:
    """Scores what a search needs scored by itself: what stands beside the students, and the front's test clips.

    Args:
        data: the data plan.
        sets: example sets.
        cache: root of the cache.
        teacher: of the search, or None.
    """

    data: DataPlan
    sets: Sets
    cache: Path
    teacher: SearchTeacher | None

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
        jobs = [ScoreJob(what, "val", self.data, self.sets.folders, self.cache) for what in names.values()]
        scores = score_all(jobs, tell)
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
                weights = folder / "students" / f"{number:04d}" / WEIGHTS
                if weights.exists():
                    wanted[number] = (str(weights), file_digest(weights))
        missing = {what: one for what, one in wanted.items() if stored.get(what, one[1]) is None}
        jobs = [
            ScoreJob(path, "test", self.data, self.sets.folders, self.cache, more=True) for path, _ in missing.values()
        ]
        asked = list(missing.items())

        def keep(place: int, scores: Scores) -> None:
            """At once: who is stopped in these minutes shall not score again what was done."""
            what, (_, digest) = asked[place]
            stored.put(what, scores, digest)
            stored.write()

        score_all(jobs, tell, keep)
        found = {what: scores for what, (_, digest) in wanted.items() if (scores := stored.get(what, digest))}
        members = [{number: found[number] for number in record["trials"] if number in found} for record in front]
        return {what: one for what, one in found.items() if isinstance(what, str)}, members
