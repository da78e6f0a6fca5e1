"""The real command with Ray and MLflow, on a small corpus: a search that is stopped by SIGTERM and goes on to its end.

Two sessions of one search are all there is, as each takes Ray's seconds to start and to end; every test looks at them.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import search.run
from analysis.choose import main as choose
from data.files import read_json
from model.ftjnf import Size
from model.macs import Budget, paper_gmac
from model.weights import load_network
from search.config import SearchConfig
from search.proposals import Proposals
from search.run import main
from search.tracking_store import default_uri

SCRIPT = Path(search.run.__file__)
STORAGE = "searches"
RunsOf = Callable[[Path, str], tuple[Any, dict[int, Any]]]
LONG = 240.0  # seconds; a limit that is only reached by a failing test
RECORD = {
    "trial", "f_hidden", "t_hidden", "kd_method", "alpha_schedule", "init", "parameters", "paper_gmac", "gmac_per_s",
    "pesq_val", "pesq_test", "pesq_test_unprocessed", "pesq_test_teacher", "pesq_by_snr", "mlflow_run_id", "checkpoint",
}  # fmt: skip


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Command:
    """A search in a process of its own."""

    process: subprocess.Popen[bytes]
    out: Path
    err: Path

    @classmethod
    def start(cls, folder: Path, name: str, *flags: str) -> Command:
        """Starts `search/run.py` in a folder; what it writes goes to files there."""
        out, err = folder / f"{name}.out", folder / f"{name}.err"
        words = [sys.executable, str(SCRIPT), *flags, "--storage", str(folder / STORAGE)]
        with open(out, "wb") as stdout, open(err, "wb") as stderr:
            # without --address no cluster is joined, whatever Ray finds in the environment
            environment = os.environ | {"OMP_NUM_THREADS": "1", "RAY_ADDRESS": "127.0.0.1:1"}
            process = subprocess.Popen(words, cwd=folder, env=environment, stdout=stdout, stderr=stderr)
        return cls(process, out, err)

    def end(self) -> Ended:
        """Waits for the end."""
        try:
            code = self.process.wait(LONG)
        finally:
            self.process.kill()
        return Ended(code, self.out.read_text(), self.err.read_text())


def strict_json(text: str) -> Any:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the commands run."""
    return tmp_path_factory.mktemp("e2e")


@pytest.fixture(scope="module")
def run(folder: Path) -> Path:
    """The run folder."""
    return folder / STORAGE / "small"


@dataclass(frozen=True)
class Stopped:
    """The first session, and what it left."""

    ended: Ended
    parent: Any
    children: dict[int, Any]
    finished: dict[Path, int]  # files of finished students: when they were written
    histories: dict[Path, str]  # of students that were at work


@pytest.fixture(scope="module")
def stopped(folder: Path, run: Path, tiny_flags: list[str], runs_of: RunsOf) -> Stopped:
    """A search of four students, stopped once one of them has finished and another one is at work."""
    changed = {"--schedules": "two-stage", "--trials": "4", "--epochs": "6", "--score-clips": "1"}
    flags = dict(zip(tiny_flags[::2], tiny_flags[1::2], strict=True)) | changed
    command = Command.start(folder, "first", *(word for pair in flags.items() for word in pair), "--name", "small")

    def students_with(name: str) -> set[Path]:
        return {path.parent for path in (run / "students").glob(f"*/{name}")}

    until = time.monotonic() + LONG
    while time.monotonic() < until and command.process.poll() is None:
        finished = students_with("result.json")
        heard = [student for student in finished if time.time() - (student / "result.json").stat().st_mtime > 1]
        if heard and students_with("history.jsonl") - finished:
            break
        time.sleep(0.05)
    command.process.send_signal(signal.SIGTERM)
    ended = command.end()
    finished, begun = students_with("result.json"), students_with("history.jsonl")
    return Stopped(
        ended,
        *runs_of(folder / STORAGE, "small"),
        {path: path.stat().st_mtime_ns for student in finished for path in student.iterdir()},
        {student / "history.jsonl": (student / "history.jsonl").read_text() for student in begun - finished},
    )


@pytest.fixture(scope="module")
def resumed(stopped: Stopped, folder: Path) -> Ended:
    """The second session."""
    return Command.start(folder, "second", "--resume", "small", "--json").end()


def test_search_that_is_stopped_says_how_to_go_on(stopped: Stopped, folder: Path) -> None:
    assert stopped.ended.code == 143, stopped.ended.err
    assert "Traceback" not in stopped.ended.err
    lines = stopped.ended.out.splitlines()
    assert lines[0].startswith("Budget: 0.1 GMAC on the axis of the paper's Table 1; true cost about 0.06")
    assert lines[-1] == f"Stopped. Go on with: python search/run.py --resume small --storage {folder / STORAGE}"


def test_runs_of_a_search_that_is_stopped_end_as_their_students_did(stopped: Stopped) -> None:
    assert stopped.finished
    assert stopped.histories
    assert stopped.parent.info.status == "KILLED"
    states = {number: child.info.status for number, child in stopped.children.items()}
    assert set(states.values()) == {"FINISHED", "KILLED"}
    at_work = {int(path.parent.name) for path in stopped.histories}
    assert {states[number] for number in at_work} == {"KILLED"}


def test_resumed_search_ends_with_its_front_printed(resumed: Ended, run: Path) -> None:
    assert resumed.code == 0, resumed.err
    assert resumed.err.startswith("Budget: 0.1 GMAC")
    for part in (
        "Pareto front of 4 students under 0.1GMAC", "students done", "teacher 24/8", "unprocessed",
        "delay-and-sum", "at a budget of 1.0 GMAC it is out", "less KD has to give", "mlflow ui",
        f"python analysis/choose.py {run}",
    ):  # fmt: skip
        assert part in resumed.err, part
    assert strict_json(resumed.out) == strict_json((run / "front.json").read_text())  # --json: nothing else there


def test_resumed_search_trains_what_is_left_and_nothing_twice(stopped: Stopped, resumed: Ended, run: Path) -> None:
    there = {path: path.stat().st_mtime_ns for path in stopped.finished if path.exists()}
    assert there.items() <= stopped.finished.items()
    assert {path.name for path in stopped.finished.keys() - there.keys()} <= {"best.safetensors", "last.pt"}  # losers'
    for path, text in stopped.histories.items():
        assert path.read_text().startswith(text)  # went on, did not begin anew
    config = SearchConfig.from_dict(read_json(run / "search.json"))
    trials = Proposals(config.space(5), run / "study.journal", config.seed).trials()
    assert [trial.state for trial in trials] == ["COMPLETE"] * 4
    for trial in trials:
        history = run / "students" / f"{trial.number:04d}" / "history.jsonl"
        epochs = [strict_json(line)["epoch"] for line in history.read_text().splitlines()]
        assert epochs == list(range(1, (6 if trial.choice.kd_method == "none" else 12) + 1))


def test_run_folder_holds_all_that_was_promised(resumed: Ended, run: Path) -> None:
    names = {path.name for path in run.iterdir()}
    assert names >= {"search.json", "data.json", "students", "study.journal", "front.json", "front.csv", "report.md"}
    assert (run / "pareto.png").read_bytes().startswith(b"\x89PNG")
    assert "<script src=" not in (run / "pareto.html").read_text()  # self-contained
    assert SearchConfig.from_dict(read_json(run / "search.json")).folder == run
    assert read_json(run / "data.json")["banks"]["train"]["speech"]["groups"] == 8
    speakers = [{file["group"] for file in kinds["speech"]} for kinds in read_json(run / "splits.json").values()]
    assert [len(group) for group in speakers] == [8, 2, 2]
    assert len(set.union(*speakers)) == 12
    kept = {path.parent for path in (run / "students").glob("*/best.safetensors")}
    assert kept == {path.parent for path in (run / "students").glob("*/last.pt")}
    assert kept >= {run / Path(record["checkpoint"]).parent for record in read_json(run / "front.json")}
    assert not list((run / "ray").glob("*/*/params*"))


def test_nothing_over_the_budget_and_nothing_twice_was_trained(resumed: Ended, run: Path) -> None:
    budget = Budget.parse("0.1GMAC")
    everyone = [read_json(path) for path in sorted((run / "students").glob("*/config.json"))]
    assert [one["number"] for one in everyone] == [0, 1, 2, 3]
    assert all(budget.allows(Size(one["choice"]["f_hidden"], one["choice"]["t_hidden"])) for one in everyone)
    assert len({json.dumps(one["choice"]) for one in everyone}) == 4
    assert {one["choice"]["kd_method"] for one in everyone} == {"none", "linear"}


def test_front_is_whole(resumed: Ended, run: Path) -> None:
    front = strict_json((run / "front.json").read_text())
    assert front
    for record in front:
        assert record.keys() >= RECORD
        size = Size(record["f_hidden"], record["t_hidden"])
        assert load_network(run / record["checkpoint"])[0].size == size
        assert record["paper_gmac"] == paper_gmac(size)
        for name in ("pesq_val", "pesq_test", "pesq_test_unprocessed", "pesq_test_teacher"):
            assert 1.0 < record[name] < 4.7
        assert list(record["pesq_by_snr"]) == ["-5", "0", "5", "10", "15"]
    for name in ("paper_gmac", "pesq_val"):
        assert [record[name] for record in front] == sorted(record[name] for record in front)
    assert len((run / "front.csv").read_text().splitlines()) == 1 + len(front)


def test_mlflow_has_the_search_and_each_student_once(resumed: Ended, folder: Path, run: Path, runs_of: RunsOf) -> None:
    from mlflow import MlflowClient

    parent, children = runs_of(folder / STORAGE, "small")
    assert parent.info.status == "FINISHED"
    assert parent.data.params["budget"] == "0.1GMAC"
    assert parent.data.params["train_lr"] == "0.0005"
    assert parent.data.metrics["students"] == 4
    assert 0 <= parent.data.metrics["hypervolume"] <= 1
    assert "| trial | size |" in parent.data.tags["mlflow.note.content"]
    client = MlflowClient(default_uri(folder / STORAGE))
    artifacts = {file.path for file in client.list_artifacts(parent.info.run_id)}
    assert artifacts >= {"front.json", "front.csv", "pareto.html", "pareto.png", "search.json", "data.json"}
    assert "review.html" in artifacts
    logged = client.download_artifacts(parent.info.run_id, "front.json", str(folder))
    assert read_json(Path(logged)) == read_json(run / "front.json")

    records = {record["trial"]: record for record in read_json(run / "students.json")}
    assert sorted(children) == sorted(records) == [0, 1, 2, 3]
    for number, child in children.items():
        record, metrics = records[number], child.data.metrics
        assert child.info.status == "FINISHED"
        assert child.info.run_id == record["mlflow_run_id"]
        assert child.data.params["kd_method"] == record["kd_method"]
        assert child.data.params.items() >= {"lr": "0.0005", "seed": str(number), "teacher": "24/8"}.items()
        assert child.data.tags["front"] == ("yes" if record["front"] else "no")
        assert metrics["pesq"] == record["pesq_val"]
        assert metrics["pesq_gain"] == pytest.approx(record["pesq_val"] - record["pesq_val_unprocessed"])
        assert ("ms_per_frame" in metrics) == ("pesq_test_gain" in metrics) == record["front"]
        for name in ("paper_gmac", "gmac_per_s", "parameters"):
            assert metrics[name] == record[name]
        assert metrics.keys() >= {"loss_train", "loss_val_hard", "lr", "alpha", "stage", "seconds", "pesq_minus_5_db"}
        epochs = {point.step for point in client.get_metric_history(child.info.run_id, "loss_train")}
        assert epochs == set(range(1, record["epochs"] + 1))


def test_the_review_has_every_student_its_run_and_the_sounds_of_the_front(resumed: Ended, run: Path) -> None:
    page = (run / "review.html").read_text(encoding="utf-8")
    (embedded,) = re.findall(r'<script type="application/json" id="evidence">(.*?)</script>', page, re.DOTALL)
    shown, records = json.loads(embedded), read_json(run / "students.json")
    assert len(shown["students"]) == len(records)
    found, wanted = ({one["trial"]: one["mlflow_run_id"] for one in ones} for ones in (shown["students"], records))
    assert found == wanted
    members = sum(one["front"] for one in records)
    assert len(shown["frames"]) == members + 1  # and the teacher
    scenes = page.count('class="scene"')
    assert scenes >= 3
    assert page.count("<audio ") == scenes * (members + 4)


def test_student_of_the_front_can_be_chosen(resumed: Ended, folder: Path, run: Path) -> None:
    choose([str(run), "--rule", "best", "--out", str(folder / "chosen")])
    assert list((folder / "chosen").glob("*.onnx"))


@dataclass(frozen=True)
class More:
    """A third session, with more students and another seed for the front, and a fourth one without anything to do."""

    third: Ended
    fourth: Ended
    before: dict[str, list[list[float]]]  # test scores of the second session, by student


@pytest.fixture(scope="module")
def more(resumed: Ended, folder: Path, run: Path) -> More:
    """Two sessions more; what the tests above look at has changed then."""
    before = read_json(run / "test_scores.json")["students"]
    flags = ("--resume", "small", "--trials", "5", "--repeat-front", "1")
    third = Command.start(folder, "third", *flags).end()
    return More(third, Command.start(folder, "fourth", "--resume", "small", "--json").end(), before)


def test_more_trials_train_what_is_missing_and_the_front_by_another_seed(more: More, run: Path) -> None:
    assert more.third.code == 0, more.third.err
    assert "Certainty: " in more.third.out
    assert "The search ended because all of its 5 students were trained (--trials)." in more.third.out
    config = SearchConfig.from_dict(read_json(run / "search.json"))
    assert (config.trials, config.repeat_front) == (5, 1)
    trials = Proposals(config.space(5), run / "study.journal", config.seed).trials()
    assert [trial.choice.repeat for trial in trials[:5]] == [0] * 5
    repeats = [trial for trial in trials if trial.choice.repeat]
    assert repeats
    front = read_json(run / "front.json")
    assert {record["seeds"] for record in front} == {2}
    for record in front:
        assert record["pesq_val"] == pytest.approx(sum(record["pesq_val_seeds"]) / 2)
        assert len(record["pesq_test_seeds"]) == 2
        assert isinstance(record["told_apart_from_cheaper"], bool)
    after = read_json(run / "test_scores.json")["students"]
    assert {number: after[number] for number in more.before} == more.before


def test_search_at_its_end_says_so_and_shows_its_front_at_once(more: More, run: Path) -> None:
    assert more.fourth.code == 0, more.fourth.err
    assert "had come to its end before: nothing was trained" in more.fourth.err
    assert "Pareto front of" in more.fourth.err
    assert "Students: up to" not in more.fourth.err
    assert strict_json(more.fourth.out) == strict_json((run / "front.json").read_text())


def test_student_of_a_front_by_several_seeds_can_be_chosen(more: More, folder: Path, run: Path) -> None:
    choose([str(run), "--rule", "best", "--out", str(folder / "chosen of seeds")])
    assert list((folder / "chosen of seeds").glob("*.onnx"))


def test_search_that_is_stopped_before_its_first_trial_can_go_on_as_well(folder: Path, tiny_flags: list[str]) -> None:
    command = Command.start(folder, "early", *tiny_flags, "--name", "early")
    until = time.monotonic() + LONG
    while not (folder / STORAGE / "early" / "search.json").exists() and time.monotonic() < until:
        time.sleep(0.05)
    command.process.send_signal(signal.SIGINT)
    ended = command.end()
    assert ended.code == 130, ended.err
    assert ended.err == ""
    assert ended.out.splitlines()[-1].startswith("Stopped. Go on with: python search/run.py --resume early")
    assert main(["--resume", "early", "--storage", str(folder / STORAGE), "--dry-run"]) == 0
