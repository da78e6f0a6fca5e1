"""The first students of a search: sizes over the whole range of costs, and every method early."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import numpy as np

from model.ftjnf import Size
from search.space import Choice, Space

START = 10
"""Sizes of the stratified start, and finished students before a model of them is trusted."""


def start(space: Space, n: int, rng: np.random.Generator) -> Iterator[Choice]:
    """The sizes of `Space.stratified_start` with the methods in turn, and with them the schedules and starts.

    The costliest size comes first (it also trains longest), then the cheapest, then each time the middle of a gap: a
    search that ends early has seen both ends and the range between in even steps. Which method meets which size is
    drawn, among those that the priors say are as likely.

    Methods have turns in proportion to what the priors say of them at the sizes at hand, so that below size F the first
    student learns without KD, as does every second one; without priors each has its turn before any has its second. A
    method that the priors think little of comes last, but comes.

    Args:
        n: sizes; where there are more methods than sizes, the sizes come again until each method has had its turn.
        rng: draws the order of the methods, schedules, starts and other options.
    """
    sizes = space.stratified_start(n)
    order = _ends_first(len(sizes))
    methods, schedules, inits = (
        rng.permutation(options).tolist() for options in (space.methods, space.schedules or ("none",), space.inits)
    )
    others: dict[str, list[Any]] = {
        one.name: [one.options[i] for i in rng.permutation(len(one.options))] for one in space.dimensions
    }
    claims = dict.fromkeys(methods, 0.0)
    turns: Counter[str] = Counter()
    uses: Counter[str] = Counter()
    seen: set[Choice] = set()
    students = max(len(sizes), len(methods))
    for i in range(students):
        size = sizes[order[i % len(order)]]
        weights = {method: space.weight("kd_method", method, size) for method in methods}
        for method in methods:
            claims[method] += weights[method] / sum(weights.values())
        waiting = [method for method in methods if not turns[method]]
        # rounded, so that equal claims are a draw; the last places are kept for the methods that still wait
        among = waiting if len(waiting) >= students - i else methods
        method = max(among, key=lambda name: round(claims[name], 9))
        claims[method] -= 1.0
        turn, place = turns[method], methods.index(method)
        turns[method] += 1
        # each method meets another schedule each time, another start after all schedules
        schedule = _liked(space, "alpha_schedule", schedules, size, place)[turn % len(schedules)]
        init = _liked(space, "init", inits, size, place)[(turn // len(schedules)) % len(inits)]
        settings = {}
        for name in space.options(method, schedule if method != "none" else "none"):
            settings[name] = _liked(space, name, others[name], size)[uses[name] % len(others[name])]
            uses[name] += 1
        choice = Choice.of(size, method, schedule, init, **settings)
        if choice not in seen:
            seen.add(choice)
            yield choice


def _liked(space: Space, field: str, options: Sequence[Any], size: Size, shift: int = 0) -> list[Any]:
    """Options of a field, those that the priors like more first; among equals `shift` says with which to begin."""

    def dislike(option: Any) -> float:
        return -space.weight(field, option, size)

    equals = [list(group) for _, group in groupby(sorted(options, key=dislike), key=dislike)]
    return [group[(i + shift) % len(group)] for group in equals for i in range(len(group))]


def _ends_first(n: int) -> list[int]:
    """The indices below n: the last, the first, then the middles of the gaps, gap by gap, as they halve."""
    order = list(dict.fromkeys((n - 1, 0)))
    gaps = [(0, n - 1)]
    while gaps:
        low, high = gaps.pop(0)
        if high - low > 1:
            middle = (low + high) // 2
            order.append(middle)
            gaps += [(middle, high), (low, middle)]
    return order
