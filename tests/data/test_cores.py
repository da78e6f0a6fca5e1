"""Cores that may be used, with control groups made of plain files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from data.cores import usable_cores


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """The file that says which groups the process is in."""
    return tmp_path / "own"


@pytest.fixture(autouse=True)
def _eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)


def group(folder: Path, quota: str, period: str = "100000", version: int = 2) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if version == 2:
        (folder / "cpu.max").write_text(f"{quota} {period}\n")
    else:
        (folder / "cpu.cfs_quota_us").write_text(f"{quota}\n")
        (folder / "cpu.cfs_period_us").write_text(f"{period}\n")


def test_affinity_counts_and_not_the_machine(tmp_path: Path, own: Path) -> None:
    assert usable_cores(tmp_path / "none", own) == 8


@pytest.mark.parametrize(
    ("quota", "cores"), [("max", 8), ("200000", 2), ("150000", 2), ("10000", 1), ("3200000", 8), ("?", 8)]
)
def test_quota_of_version_2_is_rounded_up(tmp_path: Path, own: Path, quota: str, cores: int) -> None:
    own.write_text("0::/\n")
    group(tmp_path / "groups", quota)
    assert usable_cores(tmp_path / "groups", own) == cores


@pytest.mark.parametrize(("quota", "cores"), [("-1", 8), ("300000", 3), ("50000", 1)])
def test_quota_of_version_1_is_read(tmp_path: Path, own: Path, quota: str, cores: int) -> None:
    own.write_text("4:memory:/job\n3:cpu,cpuacct:/job\n0::/job\n")
    group(tmp_path / "groups" / "cpu,cpuacct" / "job", quota, version=1)
    assert usable_cores(tmp_path / "groups", own) == cores


def test_the_strictest_group_above_decides(tmp_path: Path, own: Path) -> None:
    own.write_text("0::/slice/unit\n")
    for folder, quota in (("", "max"), ("slice", "400000"), ("slice/unit", "600000"), ("slice/other", "100000")):
        group(tmp_path / "groups" / folder, quota)
    assert usable_cores(tmp_path / "groups", own) == 4


def test_container_that_sees_only_its_own_group_finds_its_quota_at_the_root(tmp_path: Path, own: Path) -> None:
    own.write_text("2:cpu:/docker/abc\n")
    group(tmp_path / "groups" / "cpu", "200000", version=1)
    assert usable_cores(tmp_path / "groups", own) == 2
