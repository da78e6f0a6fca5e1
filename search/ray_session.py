"""Ray's start and end, quietly, on this machine or on a cluster."""

from __future__ import annotations

import logging
import os
import socket
from pathlib import Path
from typing import Any

from data.errors import InputError

ROOMS = ("data", "model", "search", "analysis")


def start_ray(address: str | None) -> int:
    """Starts Ray on this machine, or joins a cluster. Returns the number of CPUs.

    Raises:
        InputError: nothing answers at the address.
    """
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
    os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"  # ours notices which signal it was
    os.environ["TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S"] = "0"
    # Ray's workers are nice to everything else by default (15), so beside any other busy program they would stand still
    os.environ.setdefault("RAY_worker_niceness", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray

    logging.getLogger("ray").setLevel(logging.ERROR)
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # `Follower` tells of trials that fail, in a line each
    common: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    if address is None:
        # "local": else a cluster named in RAY_ADDRESS would be joined
        ray.init(address="local", num_cpus=os.cpu_count() or 1, include_dashboard=False, **common)
    else:
        _check_address(address)
        root = Path(__file__).parent.parent
        environment = {"py_modules": [str(root / room) for room in ROOMS]}  # the code travels with the job
        try:
            ray.init(address=address, runtime_env=environment, **common)
        except (ConnectionError, RuntimeError, ValueError) as error:
            reason = str(error).strip().splitlines()[0]
            raise InputError(f"--address {address}: no Ray cluster can be joined there ({reason}); start one with `ray "
                             "start --head`") from None  # fmt: skip
    return int(ray.cluster_resources().get("CPU", 1))


def _check_address(address: str) -> None:
    """Ray itself tries for half a minute before it says that nothing is there."""
    if address == "auto":
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        raise InputError(f"--address {address!r} is not understood; write HOST:PORT, or auto on a node of the cluster")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except (OSError, OverflowError) as error:
        raise InputError(
            f"--address {address}: nothing answers there ({error}); start Ray with `ray start --head` on that machine"
        ) from None


def stop_ray() -> None:
    """Ends Ray."""
    import ray

    ray.shutdown()
