"""`--dry-run`: what a search would do, in words and as values, without a training."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from data.units import duration
from model.ftjnf import Size
from model.macs import gmac_per_s, paper_gmac
from search.groundwork import Groundwork
from search.halving import SHARE, halving_in_words
from search.ray_session import look
from search.stored import in_words
from search.teaching import is_wanted


def dry_run(ground: Groundwork) -> dict[str, Any]:
    """Shows what would run, and trains nothing. A cluster is joined for a moment, to see what it has.

    Returns:
        The same as JSON-serialisable values.

    Raises:
        InputError: whatever would stop the search before its first training.
    """
    ground.check()
    config, say = ground.config, ground.console.print
    slots = ground.slots(None if config.address is None else look(config.address))
    sets = ground.sets()
    clock = ground.clock(sets, slots)
    ground.check_time(clock, sets)
    size, training = ground.expected_teacher(sets)
    if clock.budget is not None:
        clock = replace(clock, budget=clock.budget - training - ground.preparation(clock, size, sets))
    epochs, students = ground.epochs(clock, size)
    sizes = ground.space.feasible()
    low, high = (
        f"{size} ({paper_gmac(size):.3g} GMAC = {gmac_per_s(size):.3g} GMAC/s)" for size in (sizes[0], sizes[-1])
    )
    say(f"Would search {ground.space.count()} configurations of {len(sizes)} sizes, from {low} to {high}.")
    say(f"Methods: {', '.join(ground.space.methods)}; schedules: {', '.join(ground.space.schedules)}; "
        f"starts: {', '.join(ground.space.inits)}.")  # fmt: skip
    if ground.space.dimensions:
        say(f"Varied too, where heeded: {'; '.join(one.told() for one in ground.space.dimensions)}.")
    if ground.space.repeats > 1:
        say(f"Each configuration is trained {ground.space.repeats} times.")
    teacher = ground.given_teacher() if is_wanted(config) else None
    if teacher is not None:
        say(f"Teacher: {teacher.net.size} ({paper_gmac(teacher.net.size):.3g} GMAC), {teacher.path}")
    elif size is not None:
        within = f", in {duration(training)}" if training else ""
        say(f"Teacher: none given, so one of size {size} would be trained first{within}.")
    else:
        say("Teacher: none.")
    stored = in_words(config, clock.stored) if size is not None else None
    if stored is not None:
        say(stored)
    reserve = ground.reserve(clock, size)
    left = clock.left() - reserve - ground.for_repeats(clock, epochs, reserve)
    rungs = ground.rungs(epochs)
    share = SHARE if rungs else 1.0
    times = [clock.search_seconds(students.all[: n + 1], epochs, share) for n in range(len(students.all))]
    seconds, fitting = max(times, default=0.0), sum(time <= left for time in times)
    upcoming = ", ".join(str(choice.size) for choice in students.first) or "none"
    say(f"Students: up to {config.trials}, {slots} at a time, {epochs} epochs a stage; first the sizes {upcoming}.")
    say(f"Halving: {halving_in_words(rungs, epochs)}.")
    within = ""
    if config.time_budget is not None:
        which = "" if fitting == len(times) else f"; about {fitting} of them fit"
        within = f"{which}, within {duration(config.time_budget)} in all"
    say(f"Estimated time: {duration(seconds)} for {len(times)} students{within}.")
    again = clock.search_seconds(students.repeats, epochs) if students.repeats else 0.0
    if students.repeats:
        kept = ", kept for them within that time" if config.time_budget is not None else " more"
        say(f"Then the front and its near rivals are trained by {config.repeat_front} other seeds each: about "
            f"{len(students.repeats)} trainings, {duration(again)}{kept}.")  # fmt: skip
    if config.patience:
        say(f"The search ends before that if {config.patience} students bring less than 1 % of hypervolume.")
    say("Nothing was trained.")
    return {
        "name": config.name,
        "budget": config.budget,
        "data": sets.manifest,
        "configurations": ground.space.count(),
        "sizes": {"count": len(sizes), "smallest": _cost(sizes[0]), "largest": _cost(sizes[-1])},
        "methods": list(ground.space.methods),
        "schedules": list(ground.space.schedules),
        "inits": list(ground.space.inits),
        "dimensions": {one.name: list(one.options) for one in ground.space.dimensions},
        "repeats": ground.space.repeats,
        "priors": ground.space.priors,
        "teacher": None if size is None else _cost(size) | {
            "path": None if teacher is None else str(teacher.path), "training_seconds": round(training)},
        "students": {
            "most": config.trials, "to_train": len(times), "fitting": fitting, "at_a_time": slots,
            "epochs_a_stage": epochs, "rungs": list(rungs), "first": [choice.key() for choice in students.first]},
        "repeat_front": {"of_each": config.repeat_front, "trainings": len(students.repeats), "seconds": round(again)},
        "patience": config.patience,
        "seconds": round(seconds),
        "time_budget_seconds": config.time_budget,
    }  # fmt: skip


def _cost(size: Size) -> dict[str, Any]:
    return {"size": str(size), "paper_gmac": round(paper_gmac(size), 4), "gmac_per_s": round(gmac_per_s(size), 4)}
