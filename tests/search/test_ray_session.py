"""Addresses that cannot be joined. What Ray itself does is for the end-to-end test."""

from __future__ import annotations

import socket
import time

import pytest
import ray

from data.errors import InputError
from search.ray_session import Machine, look, start_ray


@pytest.mark.parametrize("address", ["somewhere", "somewhere:", ":6379", "somewhere:ray"])
def test_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(InputError) as caught:
        start_ray(address)
    assert f"--address {address!r}" in str(caught.value)
    assert "HOST:PORT" in str(caught.value)
    assert not ray.is_initialized()


@pytest.mark.parametrize("address", ["ray://127.0.0.1:10001", "ray://somewhere"])
def test_ray_client_is_refused_as_tune_would_run_on_copies_elsewhere(address: str) -> None:
    for ask in (start_ray, look):
        with pytest.raises(InputError) as caught:
            ask(address)
        assert address in str(caught.value)
        assert "give HOST:PORT on a node of the cluster" in str(caught.value)
    assert not ray.is_initialized()


def test_machine_gives_slots_by_what_is_scarcest() -> None:
    assert Machine(16, 1).slots(1.0, 0.25) == 4
    assert Machine(2, 1).slots(1.0, 0.25) == 2
    assert Machine(3).slots(0.1, 0.0) == 30
    assert Machine(8).slots(1.0, 0.5) == 0


def test_address_where_nothing_answers_is_refused_at_once() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        address = f"127.0.0.1:{free.getsockname()[1]}"
        started = time.monotonic()
        with pytest.raises(InputError) as caught:
            start_ray(address)
    assert address in str(caught.value)
    assert "nothing answers there" in str(caught.value)
    assert "ray start --head" in str(caught.value)
    assert time.monotonic() - started < 20  # Ray itself tries for longer
    assert not ray.is_initialized()


def test_port_out_of_range_is_refused() -> None:
    with pytest.raises(InputError, match="99999: nothing answers"):
        start_ray("127.0.0.1:99999")
