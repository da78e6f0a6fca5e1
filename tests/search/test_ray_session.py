"""Addresses that cannot be joined. What Ray itself does is for the end-to-end test."""

from __future__ import annotations

import socket
import time

import pytest
import ray

from data.errors import InputError
from search.ray_session import start_ray


@pytest.mark.parametrize("address", ["somewhere", "somewhere:", ":6379", "somewhere:ray", "ray://somewhere"])
def test_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(InputError) as caught:
        start_ray(address)
    assert f"--address {address!r}" in str(caught.value)
    assert "HOST:PORT" in str(caught.value)
    assert not ray.is_initialized()


@pytest.mark.parametrize("prefix", ["", "ray://"])
def test_address_where_nothing_answers_is_refused_at_once(prefix: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        address = f"{prefix}127.0.0.1:{free.getsockname()[1]}"
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
