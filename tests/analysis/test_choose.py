from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import analysis.choose
from analysis.choice import choose, latest_search, read_search
from analysis.choose import main
from analysis.speed import frame_ms
from data.errors import InputError, Interrupted, run_command
from data.examples import SetSpec
from data.plan import DataPlan, prepare
from model.clips import Clips
from model.ftjnf import FTJNF, Size
from model.macs import gmac_per_s, paper_gmac, parameters
from model.proof import TOLERANCE
from model.weights import load_network, save_network

ROOT = Path(analysis.choose.__file__).parents[1]
SIZES = {0: Size(8, 4), 1: Size(10, 4), 2: Size(12, 6), 3: Size(11, 4), 4: Size(14, 6)}
# trial 3 is dominated by 1; on the front are 0, 1, 2, 4, and 1 is the knee; 4 is the best on test, 2 in validation
PESQ = {0: 1.50, 1: 1.80, 2: 1.95, 3: 1.60, 4: 1.96}
PESQ_TEST = {0: 1.45, 1: 1.99, 2: 1.90, 3: 2.50, 4: 1.70}

PROOF = {"largest_difference": 1e-7, "frames": 100, "c": "", "c_hops_largest_difference": 1e-8,
         "pesq": {"left_out": "it is not heard here"}}  # fmt: skip

Search = Callable[..., Path]


@pytest.fixture
def run_folder(tmp_path: Path) -> Search:
    """Makes a run folder with five students; keywords change every record of `front.json`."""

    def make(name: str = "first", scores: dict[int, float | None] | None = None, **changed: Any) -> Path:
        folder = tmp_path / "runs" / name
        records = []
        for trial, size in SIZES.items():
            torch.manual_seed(trial)
            weights = folder / "students" / f"{trial:04d}" / "best.safetensors"
            save_network(FTJNF(size), weights, {"train": {"seed": trial}})
            records.append({
                "trial": trial, "f_hidden": size.f_hidden, "t_hidden": size.t_hidden, "kd_method": "linear",
                "alpha_schedule": "two-stage", "init": "slice", "parameters": parameters(size),
                "paper_gmac": paper_gmac(size), "gmac_per_s": gmac_per_s(size),
                "pesq_val": (scores or PESQ).get(trial), "pesq_val_teacher": 2.05, "pesq_val_unprocessed": 1.20,
                "pesq_test": PESQ_TEST[trial], "pesq_test_teacher": 2.01, "pesq_test_unprocessed": 1.19,
                # as the search writes it: relative, or absolute
                "checkpoint": str(weights.relative_to(folder) if trial % 2 else weights),
                **changed,
            })  # fmt: skip
        (folder / "front.json").write_text(json.dumps(records))
        return folder

    return make


def error_of(*argv: object) -> str:
    with pytest.raises(InputError) as caught:
        main([str(word) for word in argv])
    return str(caught.value)


def test_the_front_is_listed_and_a_student_exported(run_folder: Search, capsys: pytest.CaptureFixture[str]) -> None:
    folder = run_folder()
    main([str(folder)])
    lines = capsys.readouterr().out.splitlines()
    table = [line.split() for line in lines if "two-stage" in line]
    assert [row[0] for row in table] == ["0", "1", ">", "4"]
    assert "trial 2 (12/6)" in next(line for line in lines if line.startswith("chosen"))
    out = folder / "student-12-6"
    exported, recipe = load_network(out / "student.safetensors")
    assert exported.size == SIZES[2]
    assert recipe == {"train": {"seed": 2}}
    origin = json.loads((out / "config.json").read_text())["origin"]
    assert (origin["run"], origin["student"]["trial"]) == ("first", 2)
    card = (out / "CARD.md").read_text()
    assert "validation: unprocessed 1.20, student 1.95, teacher 2.05" in card
    assert "test: unprocessed 1.19, student 1.90, teacher 2.01" in card


def test_the_card_gives_the_scores_of_the_seed_that_is_exported_and_the_mean_as_such(run_folder: Search) -> None:
    several = {"trials": [2, 7, 8], "pesq_val_seeds": [2.0, 1.9, 1.95], "pesq_test_seeds": [2.2, 1.6, 1.9]}
    folder = run_folder()
    records = json.loads((folder / "front.json").read_text())
    (folder / "front.json").write_text(json.dumps([one | (several if one["trial"] == 2 else {}) for one in records]))
    (folder / "students" / "0002" / "scores.json").write_text(json.dumps({"val_table": [[2.0] * 5] * 3}))
    tables = {"set": "x", "snrs_db": [-5, 0, 5, 10, 15], "beside": {"unprocessed": [[1.19] * 5] * 3},
              "students": {"2": [[2.2] * 5] * 3, "7": [[1.6] * 5] * 3}}  # fmt: skip
    (folder / "test_scores.json").write_text(json.dumps(tables))
    main([str(folder), "--trial", "2"])
    out = folder / "student-12-6"
    card = (out / "CARD.md").read_text()
    assert "trained by 3 seeds" in card
    assert "validation: unprocessed 1.20, student 2.00 (mean of 3 seeds 1.95), teacher 2.05." in card
    assert "test: unprocessed 1.19, student 2.20 (mean of 3 seeds 1.90), teacher 2.01." in card
    assert "| 5 | 2.00 | 2.00 to 2.00 | 2.20 | 2.20 to 2.20 |" in card
    assert json.loads((out / "config.json").read_text())["origin"]["pesq"] == {"val": 2.0, "test": 2.2}


def test_an_asked_rule_that_nobody_satisfies_is_an_error(run_folder: Search) -> None:
    assert "no student is within 0.05" in error_of(run_folder(), "--rule", "within:0.05")


def test_a_trial_is_taken_by_number_even_off_the_front(run_folder: Search, capsys: pytest.CaptureFixture[str]) -> None:
    folder = run_folder()
    choice = choose(read_search(folder), trial=3)
    assert "another student dominates it" in choice.why
    assert choice.cheaper is not None
    assert choice.dearer is not None
    assert (choice.cheaper["trial"], choice.dearer["trial"]) == (1, 2)
    main([str(folder), "--trial", "3", "--out", str(folder / "mine")])
    assert load_network(folder / "mine" / "student.safetensors")[0].size == SIZES[3]
    assert "> " in capsys.readouterr().out


def test_the_neighbours_are_told_with_their_differences(run_folder: Search, capsys: pytest.CaptureFixture[str]) -> None:
    main([str(run_folder()), "--rule", "best", "--budget", f"{paper_gmac(SIZES[2])}GMAC"])
    told = {line.partition(":")[0]: line for line in capsys.readouterr().out.splitlines()}
    percent = 100 * (paper_gmac(SIZES[1]) / paper_gmac(SIZES[2]) - 1)
    assert f"trial 1 (10/4), -0.15 PESQ, {percent:+.0f} % cost" in told["next cheaper"]
    assert "trial 4 (14/6), +0.01 PESQ" in told["next dearer"]
    assert "over the budget" in told["next dearer"]


def test_a_limit_on_the_time_of_a_frame_is_measured_here(
    run_folder: Search, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = run_folder()
    found = frame_ms(read_search(folder), read_search(folder).front)
    assert sorted(found) == [0, 1, 2, 4]
    assert all(0 < value < 1000 for value in found.values())
    # what is chosen must not hang on the load of this machine
    monkeypatch.setattr(analysis.choose, "frame_ms", lambda search, students: {0: 0.1, 1: 0.2, 2: 0.31, 4: 0.4})
    main([str(folder), "--rule", "best", "--max-ms", "0.3"])
    told = capsys.readouterr().out
    assert "chosen: trial 1" in told
    head, *rows = [line for line in told.splitlines() if "GMAC/s  " in line or "two-stage" in line]
    assert "ms a frame" in head
    assert [row.split()[-3] for row in rows] == ["0.10", "0.20", "0.31", "0.40"]
    assert "--max-ms must be a positive number" in error_of(folder, "--max-ms", "0")


def test_without_a_folder_the_latest_search_is_taken(run_folder: Search, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = run_folder("b"), run_folder("a")
    os.utime(old / "front.json", (1000, 1000))
    monkeypatch.chdir(old.parents[1])
    assert latest_search() == Path("runs/a")
    main(["--rule", "knee"])
    assert (new / "student-10-4").is_dir()


def test_json_tells_the_choice_to_programs(run_folder: Search, capsys: pytest.CaptureFixture[str]) -> None:
    folder = run_folder()
    main([str(folder), "--json"])
    told = json.loads(capsys.readouterr().out)
    assert [record["trial"] for record in told["front"]] == [0, 1, 2, 4]
    assert [told[key]["trial"] for key in ("cheaper", "chosen", "dearer")] == [1, 2, 4]
    assert told["out"] == str(folder / "student-12-6")
    assert told["largest_difference"] <= TOLERANCE
    assert told["proof"]["pesq"] == {"left_out": "the search's folder does not tell its data"}


def test_the_origin_holds_the_search_and_the_data(run_folder: Search) -> None:
    folder = run_folder()
    (folder / "search.json").write_text('{"budget": "1.0GMAC"}')
    (folder / "data.json").write_text("{}")
    main([str(folder), "--out", str(folder / "out")])
    origin = json.loads((folder / "out" / "config.json").read_text())["origin"]
    assert origin["search"] == {"budget": "1.0GMAC"}
    assert len(origin["data_manifest_sha256"]) == 64


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("--rule", "within:much"), "not understood"),
        (("--rule", "within:-1"), "not understood"),
        (("--rule", "within"), "not understood"),
        (("--rule", "cheapest"), "not understood"),
        (("--trial", "9"), "no trial 9"),
        (("--trial", "1", "--rule", "best"), "exclude each other"),
        (("--trial", "4", "--budget", "1MMAC"), "more than --budget"),
        (("--budget", "1MMAC"), "the cheapest, trial 0 (8/4), costs"),
        (("--budget", "1.0"), "lacks a unit"),
        (("--budget", "-1GMAC"), "'-1GMAC' is not a finite number above zero"),
        (("--trial", "x"), "invalid int value: 'x'; --help lists the flags"),
        (("--frobnicate",), "--frobnicate; --help lists the flags"),
    ],
)
def test_a_flag_that_cannot_be_met_is_one_sentence_and_writes_nothing(
    flags: tuple[str, ...], says: str, run_folder: Search
) -> None:
    folder = run_folder()
    before = sorted(folder.iterdir())
    message = error_of(folder, *flags)
    assert says in message
    assert "\n" not in message
    assert sorted(folder.iterdir()) == before


def test_a_rule_relative_to_the_teacher_needs_its_score(run_folder: Search) -> None:
    assert "needs a teacher's score" in error_of(run_folder(pesq_val_teacher=None), "--rule", "within:0.1")


def test_weights_that_are_missing_or_of_another_student_are_an_error(run_folder: Search) -> None:
    folder = run_folder()
    other = folder / "students" / "0001" / "best.safetensors"
    chosen = folder / "students" / "0002" / "best.safetensors"
    chosen.write_bytes(other.read_bytes())
    assert "holds a network 10/4, not trial 2 (12/6)" in error_of(folder)
    chosen.unlink()
    assert "weights of trial 2 (12/6) are missing" in error_of(folder)
    assert "were not kept" in error_of(run_folder(checkpoint=None))


def other_search(run_folder: Search, old: Path) -> tuple[Path, Path]:
    """Moves a search away and begins another one under its name: (where the first one is now, the other)."""
    moved = old.rename(old.with_name("moved"))
    new = run_folder(old.name)
    for trial, size in SIZES.items():
        torch.manual_seed(100 + trial)
        save_network(FTJNF(size), new / "students" / f"{trial:04d}" / "best.safetensors", {"train": {"seed": 100}})
    return moved, new


@pytest.mark.parametrize("trial", [1, 2])  # of a relative checkpoint, and of an absolute one
def test_a_search_that_was_moved_gives_its_own_students(run_folder: Search, trial: int) -> None:
    old = run_folder()
    weights = (old / "students" / f"{trial:04d}" / "best.safetensors").read_bytes()
    moved, _ = other_search(run_folder, old)
    main([str(moved), "--trial", str(trial), "--out", str(moved / "out")])
    net, recipe = load_network(moved / "out" / "student.safetensors")
    assert recipe == {"train": {"seed": trial}}
    (moved / "own.safetensors").write_bytes(weights)
    own = load_network(moved / "own.safetensors")[0].state_dict()
    assert all(torch.equal(tensor, own[name]) for name, tensor in net.state_dict().items())


def test_a_search_that_was_copied_gives_its_students_without_the_original(run_folder: Search, tmp_path: Path) -> None:
    old = run_folder()
    shutil.copytree(old, tmp_path / "copy")
    shutil.rmtree(old)
    main([str(tmp_path / "copy")])
    assert (tmp_path / "copy" / "student-12-6" / "student.onnx").is_file()


CHOICE = {"kd_method": "linear", "alpha_schedule": "two-stage", "init": "slice", "f_hidden": 12, "t_hidden": 6}


@pytest.mark.parametrize(
    ("recipe", "says"),
    [
        ({"number": 4, "choice": CHOICE, "train": {"seed": 9}}, "trial 4 instead of 2"),
        (
            {"number": 2, "choice": CHOICE | {"kd_method": "none"}, "train": {"seed": 9}},
            "kd_method none instead of lin",
        ),
        ({"number": 2, "choice": CHOICE | {"init": "random"}, "train": {"seed": 9}}, "init random instead of slice"),
        ({"number": 2, "choice": CHOICE, "train": {"seed": 3}}, "seed 3 instead of 9"),
        ({"number": 2, "choice": CHOICE, "train": {"seed": 9}}, "has changed since"),
    ],
)
def test_weights_of_another_origin_than_the_scores_are_an_error(
    run_folder: Search, recipe: dict[str, Any], says: str
) -> None:
    folder = run_folder(weights_sha256="0" * 64)
    (folder / "search.json").write_text(json.dumps({"train": {"seed": 7}}))  # so that trial 2 has seed 9
    save_network(FTJNF(SIZES[2]), folder / "students" / "0002" / "best.safetensors", recipe)
    message = error_of(folder)
    assert says in message
    assert "trial 2 (12/6)" in message
    assert not (folder / "student-12-6").exists()


def test_weights_that_run_over_frequency_in_other_directions_are_an_error(run_folder: Search) -> None:
    folder = run_folder(bi_freq=True)
    assert "holds a network 12/6, not trial 2 (12/6bi)" in error_of(folder)
    for trial, size in SIZES.items():
        both = Size(size.f_hidden, size.t_hidden, bi_freq=True)
        save_network(FTJNF(both), folder / "students" / f"{trial:04d}" / "best.safetensors", {})
    main([str(folder)])
    assert (folder / "student-12-6bi").is_dir()


def test_a_folder_to_deploy_holds_no_password(run_folder: Search) -> None:
    folder = run_folder()
    (folder / "search.json").write_text(json.dumps({"tracking_uri": "http://me:secret@server", "budget": "1.0GMAC"}))
    main([str(folder)])
    text = (folder / "student-12-6" / "config.json").read_text()
    assert "secret" not in text
    assert json.loads(text)["origin"]["search"]["tracking_uri"] == "http://me:***@server"


def test_a_folder_with_something_in_it_is_not_overwritten(run_folder: Search) -> None:
    folder = run_folder()
    assert "is not empty" in error_of(folder, "--out", folder)
    main([str(folder)])
    assert "student-12-6 is not empty" in error_of(folder)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_no_unfinished_folder(
    number: signal.Signals, run_folder: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, unfinished = run_folder(), []
    files = set(folder.iterdir())

    def stopped(*_: object) -> None:
        unfinished.extend(set(folder.iterdir()) - files)
        os.kill(os.getpid(), number)

    monkeypatch.setattr("model.export.save_network", stopped)
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # a test behind nohup ignores it
    with pytest.raises(Interrupted):
        main([str(folder)])
    signal.signal(signal.SIGHUP, before)
    assert len(unfinished) == 1, "it was being written"
    assert set(folder.iterdir()) == files


def test_the_card_says_why_odd_input_was_not_measured(run_folder: Search) -> None:
    folder = run_folder()
    main([str(folder)])
    card = (folder / "student-12-6" / "CARD.md").read_text()
    assert "silence) does was not measured: the search's folder does not tell its data." in card


@pytest.mark.parametrize("unread", [False, True])
def test_corpora_that_were_moved_keep_no_student_back_whose_scores_are_cached(
    unread: bool, run_folder: Search, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def scenes(*_: object) -> None:
        raise PermissionError("noise/a.wav")

    folder, given = run_folder(), {}
    data: dict[str, Any] = {name: str(tmp_path / ("" if unread else "gone")) for name in ("speech", "noise", "rirs")}
    (folder / "search.json").write_text(json.dumps({"data": data}))
    cached = SimpleNamespace(digest="abc")
    monkeypatch.setattr(analysis.choose, "search_clips", lambda folder, settings: Clips(None, cached))  # type: ignore[arg-type]
    monkeypatch.setattr(analysis.choose, "export_student", lambda *_, **words: given.update(words) or PROOF)
    if unread:
        monkeypatch.setattr(analysis.choose, "scenes_for_test", scenes)
    main([str(folder)])
    why = "noise/a.wav" if unread else "the student's corpora are not here"
    assert f"was not measured: {why}" in given["sturdiness"]


@pytest.mark.parametrize("changed", [False, True])
def test_odd_input_is_measured_on_the_test_scenes_of_the_search_and_on_no_others(
    changed: bool, run_folder: Search, small_corpus: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FTJNF_CACHE", str(tmp_path / "cache"))
    speech, given, measured = tmp_path / "speech", {}, []
    shutil.copytree(small_corpus.speech, speech)
    plan = DataPlan(
        speech, small_corpus.noise, small_corpus.rirs, train_clips=1, val_clips=1, score_clips=1, test_clips=1,
        clip_seconds=0.5,
    )  # fmt: skip
    folder = run_folder()
    (folder / "search.json").write_text(json.dumps({"data": plan.to_dict()}))
    (folder / "data.json").write_text(json.dumps(prepare(plan).manifest))
    if changed:  # the cached sets are the search's all the same
        table = speech / "test.tsv"
        table.write_text("".join(table.read_text(encoding="utf-8").splitlines(keepends=True)[:-1]), encoding="utf-8")

    def measure(enhancer: object, source: object, spec: SetSpec, *_: object, **__: object) -> dict[str, Any]:
        measured.append(spec)
        return {"clips": spec.clips, "finite": True, "conditions": {}}

    monkeypatch.setattr(analysis.choose, "measure", measure)
    monkeypatch.setattr(analysis.choose, "export_student", lambda *_, **words: given.update(words) or PROOF)
    main([str(folder)])
    assert given["clips"].test is not None
    assert len(measured) == (not changed)
    assert ("was not measured: the corpora here are not those of the search." in given["sturdiness"]) == changed


def test_bad_input_ends_the_command_with_2(run_folder: Search, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        run_command(lambda: main([str(run_folder()), "--trial", "9"]))
    assert end.value.code == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_the_script_runs_from_its_folder_without_names_in_the_way(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "analysis" / "choose.py"), str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment)
    assert done.returncode == 2
    assert "front.json does not exist" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_person_at_a_terminal_is_asked(
    run_folder: Search, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = iter(["x", "99", "1"])
    monkeypatch.setattr(analysis.choose, "_asks", lambda arguments: True)
    monkeypatch.setattr("builtins.input", lambda prompt: next(answers))
    folder = run_folder()
    main([str(folder)])
    out = capsys.readouterr().out
    assert "'x' is no number of a trial" in out
    assert "no trial 99" in out
    assert (folder / "student-10-4" / "student.onnx").is_file()
    assert "not registered in MLflow" in out  # the folder has no search.json


def test_a_person_who_ends_the_input_gets_no_student(run_folder: Search, monkeypatch: pytest.MonkeyPatch) -> None:
    def ended(prompt: str) -> str:
        raise EOFError

    monkeypatch.setattr(analysis.choose, "_asks", lambda arguments: True)
    monkeypatch.setattr("builtins.input", ended)
    folder = run_folder()
    assert "no student was chosen" in error_of(folder)
    assert not list(folder.glob("student-*"))


def test_nobody_is_asked_where_flags_or_pipes_are(run_folder: Search, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builtins.input", lambda prompt: pytest.fail("asked"))
    folder = run_folder()
    main([str(folder), "--rule", "best"])
    main([str(folder), "--out", str(folder / "piped")])  # stdin is no terminal
    assert (folder / "piped" / "student.onnx").is_file()
