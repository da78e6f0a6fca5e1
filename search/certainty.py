"""Whose place on the front is least certain, and which trainings by other seeds would tell."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from analysis.front import hierarchical_paired
from search.proposal import Proposal
from search.results import Record, val_tables
from search.space import Choice, Space

KEPT_RIVALS = 2
"""Near rivals that keep their weights, for each member of the front."""


def is_repeat(choice: Choice, space: Space) -> bool:
    """Whether it is a training for certainty: none of those that the search itself goes through."""
    return choice.repeat >= space.repeats


def seed_noise(records: Sequence[Record]) -> float | None:
    """Standard deviation of validation PESQ between seeds, pooled over all that were trained by several; else None."""
    groups = [np.array(record["pesq_val_seeds"]) for record in records if record["seeds"] > 1]
    if not groups:
        return None
    squares = sum(float(((group - group.mean()) ** 2).sum()) for group in groups)
    return math.sqrt(squares / sum(len(group) - 1 for group in groups))


def rivals(records: Sequence[Record]) -> Iterator[tuple[Record, Record]]:
    """Each student that is not on the front, with the member that beats it: the best at no more than its cost.

    Args:
        records: as `results.mark_front` sorts and marks them.
    """
    member = None
    for record in records:
        if record["front"]:
            member = record
        elif member is not None:
            yield record, member


def _by_chance(first: Record, second: Record, noise: float | None) -> float:
    """What two means over seeds may differ by chance, as far as the spread between seeds goes (95 %)."""
    return 0.0 if noise is None else 1.96 * noise * math.sqrt(1 / first["seeds"] + 1 / second["seeds"])


def near_rivals(records: Sequence[Record]) -> list[Record]:
    """The rivals that may come to the front yet, the nearest first: at most `KEPT_RIVALS` for each of its members.

    Near is who is below the front by no more than the half-width of the front's interval there, or than seeds differ by
    chance. That interval is not a paired one, so this is a wide net: these are kept, not all of them trained again.
    """
    noise = seed_noise(records)
    found = []
    for record, member in rivals(records):
        low, high = member["pesq_val_interval"]
        margin = max((high - low) / 2 if math.isfinite(high - low) else 0.0, _by_chance(record, member, noise))
        gap = member["pesq_val"] - record["pesq_val"]
        if gap <= margin:
            found.append((gap, record))
    members = sum(record["front"] for record in records)
    return [record for _, record in sorted(found, key=lambda pair: pair[0])[: KEPT_RIVALS * members]]


def doubtful(students: Path, records: Sequence[Record]) -> list[Record]:
    """The members of the front and their near rivals, the one whose place is least certain first.

    Two students are told apart by their difference in units of what may be chance: the half-width of its paired
    bootstrap interval on the validation clips, or what seeds differ by where that was measured and is more. A rival is
    near below 1. A member stands as safe as it is above the next cheaper one and above its nearest rival. There are at
    most as many rivals as members, and none whose weights are gone.

    Args:
        students: folder of the students' folders.
        records: as `results.mark_front` sorts and marks them.
    """
    noise = seed_noise(records)

    def apart(upper: Record, lower: Record) -> float:
        low, high = hierarchical_paired(val_tables(students, upper), val_tables(students, lower), n=500)
        margin = max(_by_chance(upper, lower, noise), (high - low) / 2)
        gap = upper["pesq_val"] - lower["pesq_val"]
        return gap / margin if margin > 0 and math.isfinite(margin) else (math.inf if gap > 0 and margin == 0 else 0.0)

    front = [record for record in records if record["front"]]
    safe = {record["trial"]: math.inf for record in front}
    for cheaper, record in itertools.pairwise(front):
        safe[record["trial"]] = apart(record, cheaper)
    kept = {record["trial"] for record in near_rivals(records) if record["checkpoint"] is not None}
    near = []
    for record, member in rivals(records):
        if record["trial"] in kept:
            distance = apart(member, record)
            if distance < 1:
                near.append((distance, record))
                safe[member["trial"]] = min(safe[member["trial"]], distance)
    near = sorted(near, key=lambda pair: pair[0])[: len(front)]
    return [record for _, record in sorted([*near, *((safe[one["trial"]], one) for one in front)], key=lambda x: x[0])]


def wanted(
    students: Path, trials: Sequence[Proposal], records: Sequence[Record], space: Space, seeds: int
) -> list[Choice]:
    """The trainings that are still missing, in their order: one of each doubtful student, then the second ones.

    In all there are never more of them than students of the search proper.

    Args:
        students: folder of the students' folders.
        trials: all so far; those by other seeds count whatever became of them.
        records: of the finished ones, as `results.mark_front` sorts and marks them.
        space: of the search.
        seeds: trainings by other seeds that each shall have.
    """
    if seeds == 0 or not records:
        return []
    had, last = Counter[Choice](), Counter[Choice]()
    for trial in trials:
        configuration = replace(trial.choice, repeat=0)
        had[configuration] += is_repeat(trial.choice, space)
        last[configuration] = max(last[configuration], trial.choice.repeat, space.repeats - 1)
    by_number = {trial.number: replace(trial.choice, repeat=0) for trial in trials}
    configurations = [by_number[record["trial"]] for record in doubtful(students, records)]
    found = []
    for lap in range(seeds):
        for one in configurations:
            if had[one] <= lap:
                had[one] += 1
                last[one] += 1
                found.append(replace(one, repeat=last[one]))
    repeats = sum(is_repeat(trial.choice, space) for trial in trials)
    return found[: max(0, len(trials) - 2 * repeats)]
