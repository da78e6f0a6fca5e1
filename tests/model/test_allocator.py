from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from model import allocator

PROGRAM = """
from model.allocator import keep_freed_memory
done = keep_freed_memory()
import torch
assert float(torch.ones(16 * 2**20).sum()) == 16 * 2**20
print(done)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the settings are those of glibc")
def test_glibc_takes_all_settings_and_tensors_still_work() -> None:
    run = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "True"


def test_another_system_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocator.sys, "platform", "darwin")
    assert allocator.keep_freed_memory() is False


def test_another_c_library_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocator.ctypes, "CDLL", lambda name: object())
    assert allocator.keep_freed_memory() is False


RELEASE = """
from model.allocator import keep_freed_memory, release_freed_memory
keep_freed_memory()
import torch
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 / 2**20
kept = [torch.ones(2**20) for _ in range(100)]  # 400 MB
del kept
before = resident()
release_freed_memory()
print(before - resident())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the settings are those of glibc")
def test_what_is_kept_can_be_given_back() -> None:
    run = subprocess.run([sys.executable, "-c", RELEASE], capture_output=True, text=True, check=True)
    assert float(run.stdout) > 300
