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
