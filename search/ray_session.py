"""Ray's start and end, quietly, on this machine or on a cluster."""

from __future__ import annotations

import logging
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.cores import usable_cores
from data.errors import InputError

ROOMS = ("data", "model", "search", "analysis")


@dataclass(frozen=True)
class Machine:
    """What a machine has to give to trials."""

    cpus: float
    gpus: float = 0.0

    def slots(self, cpus: float, gpus: float) -> int:
        """Trials at the same time, each with so many CPUs and GPUs."""
        shares = [(self.cpus, cpus), (self.gpus, gpus)]
        return min(int(there / share + 1e-9) for there, share in shares if share > 0)


def start_ray(address: str | None) -> list[Machine]:
    """Starts Ray on this machine, or joins a cluster. Returns the machines that trials can run on.

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
    _hide_state_dumps()
    common: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    if address is None:
        # "local": else a cluster named in RAY_ADDRESS would be joined
        ray.init(address="local", num_cpus=usable_cores(), include_dashboard=False, **common)
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
    alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return [Machine(there.get("CPU", 0.0), there.get("GPU", 0.0)) for there in alive]


def look(address: str) -> list[Machine]:
    """The machines of a cluster, for which it is joined and left again.

    Raises:
        InputError: nothing answers at the address.
    """
    try:
        return start_ray(address)
    finally:
        stop_ray()


def _check_address(address: str) -> None:
    """Ray itself tries for half a minute before it says that nothing is there."""
    if address == "auto":
        return
    if "://" in address:
        # under Ray Client the driver's part of Tune runs elsewhere, on copies of our searcher and callbacks
        raise InputError(
            f"--address {address}: a search cannot be driven from outside the cluster; give HOST:PORT on a node of the "
            "cluster (6379 is Ray's usual port), or auto there"
        )
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise InputError(f"--address {address!r} is not understood; write HOST:PORT, or auto on a node of the cluster")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except (OSError, OverflowError) as error:
        raise InputError(
            f"--address {address}: nothing answers there ({error}); start Ray with `ray start --head` on that machine"
        ) from None


def _hide_state_dumps() -> None:
    """Keeps pages of a lost machine's inner state off stdout, where with `--json` the front alone goes.

    `Follower` tells of the machine's students, in a line each. There is no public way to turn the pages off; where the
    private one changes, they are printed again, nothing more.
    """
    import ray._private.worker as worker

    if hasattr(worker, "print_to_stdstream"):
        worker.print_to_stdstream = lambda data, ignore_prefix: None


def stop_ray() -> None:
    """Ends Ray."""
    import ray

    ray.shutdown()
