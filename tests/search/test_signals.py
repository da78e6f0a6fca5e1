"""Signals: the first one ends in order, the second one at once, and none is lost."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from data.errors import Interrupted
from search.signals import Signals


@pytest.fixture
def signals() -> Iterator[Signals]:
    one = Signals()
    one.listen()
    yield one
    one.restore()


def send(number: int) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_interrupts_what_is_not_held(signals: Signals, number: int) -> None:
    with pytest.raises(Interrupted):
        send(number)
    assert signals.caught == number


def call_into_ray(signals: Signals, done: list[str], *numbers: int) -> None:
    with signals.hold():
        for number in numbers:
            send(number)
        done.append("ended")


def test_while_held_the_first_waits_for_the_end(signals: Signals) -> None:
    done: list[str] = []
    with pytest.raises(Interrupted):
        call_into_ray(signals, done, signal.SIGTERM)
    assert done


def test_while_held_the_second_does_not_wait(signals: Signals) -> None:
    done: list[str] = []
    with pytest.raises(Interrupted):
        call_into_ray(signals, done, signal.SIGINT, signal.SIGINT)
    assert not done


def test_while_tune_runs_the_first_goes_through_tunes_door(signals: Signals) -> None:
    heard = []
    before = signal.getsignal(signal.SIGUSR1)
    try:
        with signals.tuning():
            signal.signal(signal.SIGUSR1, lambda number, frame: heard.append(number))  # as Tune does when it starts
            send(signal.SIGINT)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert heard == [signal.SIGUSR1]
    assert signals.caught == signal.SIGINT
    with pytest.raises(Interrupted):
        signals.heed()


def test_signal_before_tune_listens_does_not_kill(signals: Signals) -> None:
    before = signal.getsignal(signal.SIGUSR1)
    try:
        with signals.tuning():
            send(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert signals.caught == signal.SIGTERM


def test_handlers_are_given_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    one = Signals()
    one.listen()
    assert signal.getsignal(signal.SIGTERM) != before
    one.restore()
    assert signal.getsignal(signal.SIGTERM) == before
