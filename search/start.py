"""The first students of a search: sizes over the whole range of costs, and every method early."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from search.space import Choice, Space

START = 10
"""Sizes of the stratified start, and finished students before a model of them is trusted."""


def start(space: Space, n: int, rng: np.random.Generator) -> Iterator[Choice]:
    """The sizes of `Space.stratified_start` with the methods in turn, and with them the schedules and starts.

    The costliest size comes first (it also trains longest), then the cheapest, then each time the middle of a gap: a
    search that ends early has seen both ends and the range between in even steps. Which method meets which size is
    drawn.

    Args:
        n: sizes; where there are more methods than sizes, the sizes come again until each method has had its turn.
        rng: draws the order of the methods, schedules and starts.
    """
    sizes = space.stratified_start(n)
    order = _ends_first(len(sizes))
    methods, schedules, inits = (
        rng.permutation(options).tolist() for options in (space.methods, space.schedules or ("none",), space.inits)
    )
    seen: set[Choice] = set()
    for i in range(max(len(sizes), len(methods))):
        lap = i // len(methods)
        turn = i % len(methods)
        # each method meets another schedule in each lap, another start after a lap of the schedules
        schedule = schedules[(turn + lap) % len(schedules)]
        init = inits[(turn + lap // len(schedules)) % len(inits)]
        choice = Choice.of(sizes[order[i % len(order)]], methods[turn], schedule, init)
        if choice not in seen:
            seen.add(choice)
            yield choice


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
