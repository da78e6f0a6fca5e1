"""A search on two nodes, one of which is killed in mid-training: real Ray nodes, each with its own object store."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import search.run
from data.files import read_json

SCRIPT = Path(search.run.__file__)
RAY = Path(sys.executable).with_name("ray")
EPOCHS = 40
RunsOf = Callable[[Path, str], tuple[Any, dict[int, Any]]]
LONG = 240.0  # seconds; a limit that is only reached by a failing test


def node(folder: Path, *flags: str) -> subprocess.Popen[bytes]:
    """A Ray node with one CPU, in a process group of its own."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "RAY_AUTH_MODE": "disabled", "RAY_worker_niceness": "0"}
    words = [str(RAY), "start", "--num-cpus", "1", "--object-store-memory", "80000000", "--disable-usage-stats"]
    with open(folder / "nodes.log", "ab") as log:
        return subprocess.Popen(
            [*words, *flags, "--block"], env=environment, stdout=log, stderr=log, start_new_session=True
        )


@pytest.fixture
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The address of the head, and its second node."""
    folder = tmp_path_factory.mktemp("ray")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"127.0.0.1:{port}"
    # Ray's sockets lie below this folder, and their paths must be short
    home = Path(f"/tmp/r{os.getpid()}")
    nodes = [node(folder, "--head", "--port", str(port), "--temp-dir", str(home), "--include-dashboard", "false")]
    try:
        wait_for(lambda: answers(port), "the head")
        nodes.append(node(folder, "--address", address))
        wait_for(lambda: len(raylets(home)) == 2, "the second node")
        yield address, nodes[1]
    finally:
        for one in nodes:
            kill(one)
        subprocess.run(["rm", "-rf", str(home)], check=True)


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def raylets(home: Path) -> list[Path]:
    """A socket for each node that is up."""
    return list(home.glob("session_latest/sockets/raylet*"))


def wait_for(condition, what: str) -> None:
    until = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < until, f"no sign of {what}"
        time.sleep(0.2)


def kill(process: subprocess.Popen[bytes]) -> None:
    """Ends a node with all its processes, as a machine that loses its power."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_student_of_a_killed_node_goes_on_from_its_checkpoint_on_another(
    cluster: tuple[str, subprocess.Popen[bytes]], tiny_flags: list[str], tmp_path: Path, runs_of: RunsOf
) -> None:
    address, second = cluster
    flags = [*tiny_flags, "--methods", "none", "--sizes", "8/4,8/8", "--trials", "2", "--epochs", str(EPOCHS)]
    words = [sys.executable, str(SCRIPT), *flags, "--address", address, "--storage", str(tmp_path), "--name", "two"]
    said = tmp_path / "said.log"
    with open(said, "wb") as out:
        command = subprocess.Popen(
            words, env=os.environ | {"OMP_NUM_THREADS": "1"}, cwd=tmp_path, stdout=out, stderr=subprocess.STDOUT
        )
    students = [tmp_path / "two" / "students" / f"000{number}" for number in (0, 1)]
    try:
        # both are in training, hence one on each node
        wait_for(lambda: all((one / "last.pt").exists() for one in students) or command.poll() is not None, "students")
        kill(second)
        assert command.wait(LONG) == 0, said.read_text()
    finally:
        command.kill()
    text = said.read_text()
    assert "lost with its process or machine" in text
    assert "state-dump" not in text
    assert [read_json(one / "result.json")["state"] for one in students] == ["COMPLETE", "COMPLETE"]
    _, runs = runs_of(tmp_path, "two")
    assert sorted(runs) == [0, 1]
    assert all(run.info.status == "FINISHED" and run.data.metrics["epoch"] == EPOCHS for run in runs.values())
    for one in students:  # no epoch was told twice
        assert len((one / "history.jsonl").read_text().splitlines()) == EPOCHS
