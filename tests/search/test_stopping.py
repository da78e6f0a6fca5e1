from __future__ import annotations

import pytest

from search.start import START
from search.stopping import Stopping, told


def test_search_whose_front_no_longer_grows_has_stalled() -> None:
    stopping = Stopping(3, [0.1 * n for n in range(START)])
    for n in range(1, 4):
        assert not stopping.stalled
        stopping.stands(START + n, 0.1 * (START - 1) * 1.004)
    assert stopping.stalled


def test_gain_of_a_hundredth_goes_on() -> None:
    assert not Stopping(3, [0.5] * (START + 2) + [0.505]).stalled
    assert Stopping(3, [0.5] * (START + 2) + [0.5049]).stalled


def test_students_of_the_start_are_no_reason_to_end() -> None:
    assert not Stopping(3, [0.5] * (START + 2)).stalled
    assert Stopping(3, [0.5] * (START + 3)).stalled


def test_students_before_more_were_asked_for_are_no_reason_to_end_again() -> None:
    volumes = [0.5] * (START + 10)
    assert Stopping(3, volumes).stalled
    stopping = Stopping(3, volumes, since=START + 10)
    for n in range(1, 4):
        assert not stopping.stalled
        stopping.stands(START + 10 + n, 0.5)
    assert stopping.stalled
    assert stopping.volume == 0.5


def test_search_without_patience_never_stalls() -> None:
    assert not Stopping(0, [0.5] * 1000).stalled


def test_front_that_nothing_lifts_above_the_input_has_stalled() -> None:
    assert Stopping(3, [0.0] * (START + 3)).stalled


def test_students_that_ended_unheard_count_with_the_volume_of_now() -> None:
    stopping = Stopping(3, [0.5] * START)
    stopping.stands(START + 3, 0.6)
    assert not stopping.stalled
    stopping.stands(START + 3, 0.9)  # nobody more has finished
    assert not stopping.stalled
    stopping.stands(START + 4, 0.6)
    assert stopping.stalled


@pytest.mark.parametrize(("ended", "part"), [("patience", "less than 1% over the last 7"), ("trials", "all of its 20")])
def test_why_a_search_ended_is_told_with_its_numbers(ended, part: str) -> None:
    assert part in told(ended, trials=20, patience=7)
