"""Whether a search stays small as its students become many: 1,000 of them that train nothing, by the real command.

    python benchmarks/scale.py [--trials 1000] [--json]

Ray, MLflow's store, the sampler, the front, the figures and the final scores are the real ones. Only a student's
training is replaced, in the workers: it reports three epochs and writes the files that a student writes, with a PESQ
that grows with log10 GMAC and scatters. Baseline: the same search after its first tenth of the trials, or as said.

- `memory_growth_mb`: of the driver, from the first tenth of the trials to the end, in MB of unique memory;
- `suggestion_s`: median seconds for a proposal around the middle of the search, `suggestion_last_s` at its end;
- `trial_s`: seconds of wall time for a trial, and `trial_last_over_first`, of the last tenth against the first;
- `students_mb`: disk of the students' folders, `weights_left`: how many of them have weights at the end;
- `page_s`: seconds of `search_runs` for all runs of the experiment, what MLflow's page asks for.
"""

from __future__ import annotations

import gc
import json
import math
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

import search.run
import search.tuning
from benchmarks.measure import Report, parser, show
from data.errors import run_command
from data.files import file_digest, plain, write_json
from data.scene import SNRS_DB
from model.ftjnf import FTJNF
from model.macs import paper_gmac
from model.score import Scores
from model.weights import save_network
from search.board import Board
from search.proposals import Proposals
from search.space import Choice
from search.student import StudentJob, score_metrics
from search.timing import write_span
from search.tracking_store import default_uri

EPOCHS = 3
CLIPS = 20
FLAGS = (
    "--budget", "1.0GMAC", "--methods", "none,linear,t-lstm", "--init", "slice,random", "--train-clips", "8",
    "--val-clips", "4", "--score-clips", "2", "--test-clips", "2", "--epochs", str(EPOCHS), "--time-budget", "10h",
    "--patience", "0",
)  # fmt: skip


def no_training(config: dict[str, Any], job: StudentJob) -> None:
    """In place of `search.trial.trial`: reports and writes what a student does, and trains nothing."""
    from ray import tune

    number, choice = config["number"], Choice(**config["choice"])
    folder = job.folder(number)
    began = time.time()
    rng = np.random.default_rng([number, 7])
    write_json(folder / "config.json", {"number": number, "choice": asdict(choice), "train": job.train.to_dict()})
    net = FTJNF(choice.size)
    save_network(net, folder / "best.safetensors")
    torch.save({"net": net.state_dict(), "moments": [p * 0 for p in net.parameters()] * 2}, folder / "last.pt")
    level = 1.4 + 0.15 * math.log10(paper_gmac(choice.size)) + 0.03 * rng.normal()
    clips = np.random.default_rng(0).normal(0, 0.1, (CLIPS, 1)) + rng.normal(0, 0.02, (CLIPS, len(SNRS_DB)))
    scores = Scores(level + clips + np.linspace(-0.2, 0.2, len(SNRS_DB)))
    for epoch in range(1, EPOCHS + 1):
        losses = {f"loss_{name}": 0.2 / epoch for name in ("train", "train_hard", "train_soft", "val_hard", "val_soft")}
        line = {
            "epoch": epoch,
            "stage": "mixed",
            "alpha": 0.5,
            "lr": 1e-3,
            "epoch_seconds": 0.1,
            "seconds": 0.1 * epoch,
        }
        line |= losses | score_metrics(scores)
        with open(folder / "history.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(plain(line)) + "\n")
        tune.report(line)
    digest = file_digest(folder / "best.safetensors")
    table = {"val": scores.summary(), "val_table": scores.pesq.tolist(), "weights_sha256": digest}
    write_json(folder / "scores.json", plain(table))
    result = score_metrics(scores) | {"state": "COMPLETE", "unscored": 0, "epoch": EPOCHS, "best_epoch": EPOCHS}
    result |= {"seconds": 0.3, "final": True, "stopped": ""}
    write_json(folder / "result.json", plain(result))
    write_span(folder, began, 0.3, 0.1)
    tune.report(result)


def memory_mb() -> float:
    """What this process alone holds, in MB."""
    lines = Path("/proc/self/smaps_rollup").read_text(encoding="ascii").splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(("Private_Clean", "Private_Dirty"))) / 1024


class Meter:
    """Notes, at each finished student, the time and the driver's memory, and how long each proposal took."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.memory: list[float] = []
        self.proposals: list[float] = []

    def patch(self) -> None:
        """Puts itself around `Board.finished` and `Proposals.propose`, and no training into the workers."""
        finished: Callable[..., None] = Board.finished
        propose: Callable[..., Choice | None] = Proposals.propose

        def note(board: Board, *arguments: Any) -> None:
            finished(board, *arguments)
            self.times.append(time.monotonic())
            if len(self.times) % 10 == 0:
                gc.collect()
                self.memory.append(memory_mb())
                said = f"{len(self.times)} students, {self.memory[-1]:.0f} MB, {self.proposals[-1]:.2f} s a proposal"
                print(f"{said}, {self.times[-1] - self.times[0]:.0f} s", file=sys.stderr, flush=True)

        def timed(proposals: Proposals, *arguments: Any, **named: Any) -> Choice | None:
            started = time.monotonic()
            try:
                return propose(proposals, *arguments, **named)
            finally:
                self.proposals.append(time.monotonic() - started)

        Board.finished = note  # type: ignore[method-assign, assignment]
        Proposals.propose = timed  # type: ignore[method-assign, assignment]
        search.tuning.trial = no_training


def main() -> None:
    """The command line."""
    flags = parser(__doc__, repetitions=1)
    flags.add_argument("--trials", type=int, default=1000, help="students (default: %(default)s)")
    flags.add_argument("--sampler", default=None, help="as for search/run.py (default: its default)")
    arguments = flags.parse_args()
    meter = Meter()
    meter.patch()
    with tempfile.TemporaryDirectory() as storage:
        sampler = [] if arguments.sampler is None else ["--sampler", arguments.sampler]
        command = [*FLAGS, *sampler, "--trials", str(arguments.trials), "--storage", storage, "--name", "scale"]
        stdout, devnull = os.dup(1), os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull if arguments.json else 2, 1)  # the search's own lines are no report
        started = time.monotonic()
        try:
            search.run.main(command)
        finally:
            os.dup2(stdout, 1)
        show(report(meter, Path(storage), time.monotonic() - started, arguments.sampler), as_json=arguments.json)


def report(meter: Meter, storage: Path, wall: float, sampler: str | None) -> Report:
    """What was found."""
    count = len(meter.times)
    tenth = max(1, count // 10)
    steps = np.diff(meter.times)
    middle = meter.proposals[count // 2 - tenth // 2 : count // 2 + tenth // 2 + 1]
    students = storage / "scale" / "students"
    sizes = [path.stat().st_size for path in students.rglob("*") if path.is_file()]
    page, runs = page_seconds(storage)
    after = meter.memory[max(0, len(meter.memory) // 10 - 1) :]
    ratios = {
        "memory_growth_mb": after[-1] - after[0],
        "memory_first_mb": after[0],
        "suggestion_s": statistics.median(middle),
        "suggestion_last_s": statistics.median(meter.proposals[-tenth:]),
        "trial_s": float(np.mean(steps)),
        "trial_last_over_first": float(np.mean(steps[-tenth:]) / np.mean(steps[:tenth])),
        "students_mb": sum(sizes) / 1e6,
        "weights_left": float(len(list(students.rglob("best.safetensors")))),
        "page_s": page,
    }
    baselines = {
        "memory_growth_mb": "the driver after a tenth of the trials",
        "memory_first_mb": "0",
        "suggestion_s": "0, in the middle of the search",
        "suggestion_last_s": "0, in its last tenth",
        "trial_s": "0",
        "trial_last_over_first": "the first tenth",
        "students_mb": "0",
        "weights_left": f"{count} students",
        "page_s": f"0, {runs} runs",
    }
    settings = {"trials": count, "sampler": sampler or "default", "threads": threading.active_count()}
    return Report("scale", ratios, baselines, {"whole command": [wall]}, settings)


def page_seconds(storage: Path) -> tuple[float, int]:
    """Seconds in which the store gives all runs of the experiment, and how many there are."""
    from mlflow import MlflowClient

    client = MlflowClient(default_uri(storage))
    experiment = client.get_experiment_by_name("ftjnf-students")
    assert experiment is not None
    started = time.monotonic()
    runs = client.search_runs([experiment.experiment_id], max_results=5000)
    return time.monotonic() - started, len(runs)


if __name__ == "__main__":
    run_command(main)
