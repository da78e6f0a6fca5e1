"""How many CPU cores this process may use; in a container or a batch job that is fewer than the machine has."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

GROUPS = Path("/sys/fs/cgroup")
OWN = Path("/proc/self/cgroup")


def usable_cores(groups: Path = GROUPS, own: Path = OWN) -> int:
    """The cores of this process's affinity, but no more than its control groups' CPU quota, rounded up; at least 1.

    Args:
        groups: where the control groups are mounted, version 1 or 2.
        own: the file that says which of them this process is in.
    """
    known = hasattr(os, "sched_getaffinity")  # on Linux
    cores = len(os.sched_getaffinity(0)) if known else os.cpu_count() or 1
    quotas = [quota for folder in _folders(groups, own) if (quota := _quota(folder)) is not None]
    return max(1, min(cores, *map(math.ceil, quotas)) if quotas else cores)


def _folders(groups: Path, own: Path) -> Iterator[Path]:
    """The folders of this process's groups and of all groups above: each of them can set a limit."""
    try:
        lines = own.read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers == "":  # version 2; beside groups of version 1 it is mounted one deeper
            roots = [groups, groups / "unified"]
        elif "cpu" in controllers.split(","):
            roots = [groups / controllers, groups / "cpu"]
        else:
            continue
        parts = path.strip("/").split("/")
        for root in roots:
            for depth in range(len(parts) + 1):  # a container may see only the root, whatever the path says
                yield root.joinpath(*parts[:depth])


def _quota(folder: Path) -> float | None:
    """Cores' worth of time that a group is given; None for no limit, or where nothing says so."""
    try:
        if (folder / "cpu.max").exists():
            quota, period = (folder / "cpu.max").read_text(encoding="ascii").split()
        else:
            quota, period = (
                (folder / f"cpu.cfs_{name}_us").read_text(encoding="ascii").strip() for name in ("quota", "period")
            )
        return float(quota) / float(period) if quota not in ("max", "-1") else None
    except (OSError, ValueError, ZeroDivisionError):
        return None
