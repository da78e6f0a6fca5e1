from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
if sys.argv[1] == "kept":
    from model.allocator import keep_freed_memory
    assert keep_freed_memory()
import torch
torch.set_num_threads(1)
def faults():
    for _ in range(5):
        torch.ones(16 * 2**20)  # 64 MB
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        torch.ones(16 * 2**20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(faults())
"""


def faults(mode: str) -> int:
    """Page faults of five large tensors after five others have been freed."""
    run = subprocess.run([sys.executable, "-c", PROGRAM, mode], capture_output=True, text=True, check=True)
    return int(run.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the settings are those of glibc")
def test_freed_memory_is_used_again_without_asking_the_system() -> None:
    assert faults("kept") < 0.5 * faults("plain")
