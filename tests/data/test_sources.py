"""Which room responses of a large corpus are taken."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from data.corpora import Clip
from data.sources import some_responses


def rooms(count: int, each: int) -> list[Clip]:
    return [Clip(Path(f"Room{room:03}-{take}.wav"), f"room{room}") for room in range(count) for take in range(each)]


def test_few_responses_are_all_taken_as_they_are() -> None:
    clips = rooms(10, 4)
    assert some_responses(clips, 40, 0) == clips


def test_every_room_gives_as_many_where_there_are_few_rooms() -> None:
    taken = some_responses(rooms(10, 100), 50, 0)
    assert Counter(clip.group for clip in taken) == {f"room{room}": 5 for room in range(10)}
    assert len(set(taken)) == 50


def test_many_rooms_are_sampled_with_two_responses_each() -> None:
    taken = some_responses(rooms(200, 10), 50, 0)
    assert set(Counter(clip.group for clip in taken).values()) == {2}
    assert len(taken) == 50


def test_the_seed_decides_and_not_the_order() -> None:
    clips = rooms(200, 10)
    assert some_responses(clips, 50, 0) == some_responses(clips[::-1], 50, 0)
    assert some_responses(clips, 50, 0) != some_responses(clips, 50, 1)
