"""A search that halves, with Ray and MLflow: stopped by SIGTERM while students wait, and gone on with.

Students are trained and scored for real. Only what the rungs are told is made up, so that it is known who has to wait:
the search runs in a process in which `Rungs` hears a score by number, for students that are all of one cost.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from data.cores import usable_cores
from data.files import read_json
from search.config import SearchConfig
from search.proposals import Proposals
from search.tracking_store import default_uri

SCORES = [1.50, 1.30, 1.45, 1.20, 1.10, 1.00]
"""The first goes on, and the third one once the sixth has been there: it is then in the upper third."""

PROGRAM = f"""
import sys
import search.session
from search.halving import Rungs
from search.run import main

class MadeUp(Rungs):
    def report(self, number, log_cost, rung, pesq):
        super().report(number, 0.0, rung, {SCORES}[number])

search.session.Rungs = MadeUp
if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
"""
LONG = 600.0  # seconds; a limit that is only reached by a failing test


def start(folder: Path, name: str, *flags: str) -> subprocess.Popen[bytes]:
    """Starts the search; what it writes goes to a file."""
    program = folder / "program.py"
    program.write_text(PROGRAM)
    words = [sys.executable, str(program), *flags, "--storage", str(folder / "runs")]
    path = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"OMP_NUM_THREADS": "1", "RAY_ADDRESS": "127.0.0.1:1", "PYTHONPATH": path}
    with open(folder / f"{name}.log", "wb") as log:
        return subprocess.Popen(words, cwd=folder, env=environment, stdout=log, stderr=log)


def history(run: Path, number: int) -> list[dict[str, Any]]:
    path = run / "students" / f"{number:04d}" / "history.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def states(run: Path) -> list[str]:
    config = SearchConfig.from_dict(read_json(run / "search.json"))
    return [one.state for one in Proposals(config.space(5), run / "study.journal", config.seed).trials()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the commands run."""
    return tmp_path_factory.mktemp("halving")


@pytest.fixture(scope="module")
def stopped(folder: Path, tiny_flags: list[str]) -> list[str]:
    """The states of the students of a search that was stopped once the fourth one has reached its rung."""
    changed = {
        "--schedules": "two-stage", "--trials": "6", "--epochs": "2", "--score-clips": "1", "--score-every": "9",
        "--halving": "on", "--cpus-per-trial": str(usable_cores()),
    }  # fmt: skip
    flags = dict(zip(tiny_flags[::2], tiny_flags[1::2], strict=True)) | changed
    process = start(folder, "first", *(word for pair in flags.items() for word in pair), "--name", "halved")
    run = folder / "runs" / "halved"
    try:
        until = time.monotonic() + LONG
        while time.monotonic() < until and process.poll() is None and not history(run, 3):
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert process.wait(LONG) == 143, (folder / "first.log").read_text()
    finally:
        process.kill()
    return states(run)


@pytest.fixture(scope="module")
def run(stopped: list[str], folder: Path) -> Path:
    """The folder of the search, which has gone on to its end."""
    process = start(folder, "second", "--resume", "halved")
    try:
        assert process.wait(LONG) == 0, (folder / "second.log").read_text()
    finally:
        process.kill()
    return folder / "runs" / "halved"


def test_students_wait_at_their_rung(stopped: list[str], folder: Path) -> None:
    assert stopped[:3] == ["COMPLETE", "PAUSED", "PAUSED"]
    assert stopped[3] in ("RUNNING", "PAUSED")  # the signal may have come before its decision
    log = (folder / "first.log").read_text()
    assert "Halving: on, students may be stopped after 1 of the 2 epochs" in log
    assert log.count("paused; ") >= 2


def test_of_those_that_wait_the_one_that_became_good_is_trained_on_and_the_others_wait(run: Path) -> None:
    assert states(run) == ["COMPLETE", "PAUSED", "COMPLETE", "PAUSED", "PAUSED", "PAUSED"]
    promoted = history(run, 2)
    assert [line["epoch"] for line in promoted] == list(range(1, len(promoted) + 1))
    assert len(promoted) == len(history(run, 0)) or len(promoted) in (2, 4)  # trained to its end, whatever its method
    for number in (1, 3, 4, 5):
        (line,) = history(run, number)
        assert line["rung"] == 0
        result = read_json(run / "students" / f"{number:04d}" / "result.json")
        assert (result["state"], result["stopped"], result["epoch"]) == ("PRUNED", "halved", 1)
        assert result["pesq"] == line["pesq"]
    assert [record["trial"] for record in read_json(run / "students.json")] in ([0, 2], [2, 0])
    assert "4 students more were stopped early" in (run / "report.md").read_text()


def test_mlflow_has_one_run_of_each_student_and_says_who_was_stopped(run: Path) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(default_uri(run.parent))
    experiment = client.get_experiment_by_name("ftjnf-students")
    assert experiment is not None
    runs = [one for one in client.search_runs([experiment.experiment_id]) if one.data.tags.get("role") == "student"]
    by_number = {int(one.data.tags["trial"]): one for one in runs}
    assert len(by_number) == len(runs) == 6
    ends = {number: (one.info.status, one.data.tags["stopped"]) for number, one in by_number.items()}
    assert ends == {number: ("FINISHED", "no") if number in (0, 2) else ("KILLED", "halved") for number in range(6)}
    steps = [point.step for point in client.get_metric_history(by_number[2].info.run_id, "loss_train")]
    assert sorted(steps) == list(range(1, len(history(run, 2)) + 1))
