"""Bad input of the search's command: one sentence that names the value and says what to do, and nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import search.run
from data.errors import InputError
from data.files import read_json, write_json
from model.ftjnf import FTJNF, Size
from model.weights import save_network
from search.flags import read_flags, search_config
from search.run import main

SCRIPT = Path(search.run.__file__)

Complaint = Callable[..., str]


@pytest.fixture
def complaint(tmp_path: Path, tiny_flags: list[str], monkeypatch: pytest.MonkeyPatch) -> Complaint:
    """Runs a tiny search with flags added or replaced, and gives back what it complains of."""
    monkeypatch.setattr(search.run, "STARTED", time.time())

    def run(*flags: str, without: tuple[str, ...] = (), storage: str = "runs", name: str = "new") -> str:
        base = dict(zip(tiny_flags[::2], tiny_flags[1::2], strict=True))
        base |= {"--storage": str(tmp_path / storage), "--name": name}
        given = [word for flag, value in base.items() if flag not in (*flags, *without) for word in (flag, value)]
        with pytest.raises(InputError) as caught:
            main([*given, *flags])
        message = str(caught.value)
        assert "\n" not in message
        assert not (tmp_path / "runs" / "new").exists()
        return message

    return run


@pytest.mark.parametrize(
    ("budget", "named"),
    [
        ("0", ["'0'", "above zero"]),
        ("-1GMAC", ["'-1GMAC'", "above zero"]),
        ("1.0GB", ["'1.0GB'", "GMAC/s"]),
        ("nan", ["'nan'", "finite"]),
        ("1.0", ["'1.0'", "1.0GMAC", "1.0GMAC/s", "MMAC/frame"]),
        ("much", ["'much'", "1.0GMAC"]),
        ("0.01GMAC", ["0.01GMAC", "the smallest, 8/4, costs 0.0239 GMAC", "raise --budget"]),
    ],
)
def test_budget_that_is_none_is_refused(complaint: Complaint, budget: str, named: list[str]) -> None:
    message = complaint("--budget", budget, without=("--sizes",))
    for part in named:
        assert part in message


def test_budget_is_asked_for(complaint: Complaint) -> None:
    assert "--budget 1.0GMAC" in complaint(without=("--budget",))


@pytest.mark.parametrize(
    ("flag", "value", "named"),
    [
        ("--sizes", "8/4,A", ["size 512/128", "above the budget of 0.1GMAC", "raise --budget"]),
        ("--sizes", "8x4", ["'8x4'", "80/32"]),
        ("--sizes", ",", ["names no size", "64/16,80/32"]),
        ("--methods", "none,telepathy", ["'telepathy'", "t-lstm"]),
        ("--methods", "", ["--methods", "--help"]),
        ("--schedules", "soon", ["'soon'", "two-stage"]),
        ("--init", "warm", ["'warm'", "slice, random"]),
        ("--sampler", "oracle", ["'oracle'", "tpe"]),
        ("--preset", "huge", ["'huge'", "paper"]),
        ("--trials", "0", ["--trials", "at least 1", "0"]),
        ("--trials", "many", ["--trials", "'many'"]),
        ("--epochs", "0", ["epochs", "at least 1"]),
        ("--batch", "0", ["batch", "at least 1"]),
        ("--lr", "-1", ["learning rate", "-1"]),
        ("--lr", "nan", ["learning rate", "nan"]),
        ("--alpha", "2", ["alpha", "between 0 and 1", "2"]),
        ("--gram", "psychic", ["'psychic'", "positions"]),
        ("--precision", "fp8", ["'fp8'", "bf16"]),
        ("--seed", "-1", ["seed", "-1"]),
        ("--cpus-per-trial", "10000", ["--cpus-per-trial 10000", "lower it to"]),
        ("--cpus-per-trial", "0", ["--cpus-per-trial", "0", "positive"]),
        ("--cpus-per-trial", "nan", ["--cpus-per-trial", "nan", "positive"]),
        ("--gpus-per-trial", "-1", ["--gpus-per-trial", "-1", "positive"]),
        ("--time-budget", "soon", ["'soon'", "12min"]),
        ("--time-budget", "0s", ["'0s'", "12min"]),
        ("--hours", "x", ["--hours 'x'", "38,4.8,1.2"]),
        ("--train-clips", "0", ["train_clips", "at least 1"]),
        ("--clip-seconds", "0.1", ["clip_seconds", "0.1"]),
        ("--array", "ring", ["'ring'", "cross"]),
        ("--name", "../x", ["'../x'", "letters, digits"]),
        ("--name", "a b", ["'a b'", "letters, digits"]),
        ("--address", "127.0.0.1:1", ["127.0.0.1:1", "nothing answers", "ray start --head"]),
        ("--address", "somewhere", ["'somewhere'", "HOST:PORT"]),
        ("--tracking-uri", "nowhere", ["'nowhere'", "sqlite:///FILE"]),
        ("--frobnicate", "1", ["--frobnicate", "--help"]),
    ],
)
def test_flag_that_cannot_be_used_is_refused(complaint: Complaint, flag: str, value: str, named: list[str]) -> None:
    message = complaint(flag, value)
    for part in named:
        assert part in message


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU can be used here")
def test_gpus_that_are_not_there_are_refused(complaint: Complaint) -> None:
    assert "--gpus-per-trial 0.5 is more than the 0 GPUs there are; leave it out" in complaint(
        "--gpus-per-trial", "0.5"
    )


def test_teacher_that_cannot_be_used_is_refused(complaint: Complaint, tmp_path: Path) -> None:
    three = tmp_path / "three.safetensors"
    save_network(FTJNF(Size(8, 4, microphones=3)), three)
    message = complaint("--teacher", str(three))
    assert str(three) in message
    assert "3 microphones but the array has 5" in message

    text = tmp_path / "notes.txt"
    text.write_text("no weights")
    message = complaint("--teacher", str(text))
    assert str(text) in message
    assert "does not hold FT-JNF weights" in message

    message = complaint("--teacher", str(tmp_path / "gone"))
    assert str(tmp_path / "gone") in message
    assert "python -m model.teacher train" in message


def test_without_a_teacher_there_is_neither_kd_nor_a_slice(complaint: Complaint) -> None:
    for flags in (
        ["--methods", "none,linear", "--init", "random"],
        ["--methods", "none", "--init", "slice"],
    ):
        assert "--methods none --init random" in complaint("--teacher", "none", *flags)


def test_teacher_to_be_trained_is_checked_before_any_data_is_read(complaint: Complaint, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    nothing = ("--speech", str(tmp_path / "empty"))
    assert "'Z'" in complaint("--teacher-size", "Z", *nothing, without=("--teacher",))
    message = complaint("--teacher-time", "5min", "--time-budget", "12min", *nothing, without=("--teacher",))
    assert "--teacher-time 5 min 00 s is more than a third of --time-budget 12 min 00 s" in message
    assert "15 min" in message


def test_slices_run_over_frequency_as_their_teacher(complaint: Complaint) -> None:
    message = complaint("--sizes", "8/4,8/4bi")
    assert "8/4bi cannot be a slice of a teacher 24/8" in message
    assert "--init random" in message


def test_file_where_a_folder_should_be_is_refused_and_kept(complaint: Complaint, tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("mine")
    for message in (complaint(), complaint(storage="runs/below")):
        assert str(tmp_path / "runs") in message
        assert "--storage" in message
    assert (tmp_path / "runs").read_text() == "mine"

    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "new").write_text("mine")
    message = complaint(storage="other")
    assert f"{tmp_path / 'other' / 'new'} is a file" in message
    assert "--name" in message


def test_name_of_another_search_is_refused_and_its_folder_kept(complaint: Complaint, tmp_path: Path) -> None:
    (tmp_path / "runs" / "old").mkdir(parents=True)
    (tmp_path / "runs" / "old" / "notes").write_text("mine")
    message = complaint(name="old")
    assert "--resume old" in message
    assert "another --name" in message
    assert [path.name for path in (tmp_path / "runs").rglob("*")] == ["old", "notes"]


def test_corpus_that_cannot_be_used_is_refused(complaint: Complaint, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert f"{empty} holds no audio" in complaint("--speech", str(empty))
    assert f"{tmp_path / 'gone'} does not exist" in complaint("--noise", str(tmp_path / "gone"))
    assert "--noise, --rirs is missing" in complaint(without=("--noise", "--rirs"))

    (empty / "clips").mkdir()
    (empty / "train.tsv").write_text("client_id\tsentence\na\tb\n")
    message = complaint("--speech", str(empty))
    assert str(empty / "train.tsv") in message
    assert "no column 'path'" in message
    assert not (tmp_path / "runs").exists()


def test_time_budget_that_is_too_short_is_refused_before_anything_is_trained(
    complaint: Complaint, tmp_path: Path
) -> None:
    message = complaint("--time-budget", "20s")
    assert "--time-budget 20 s leaves 0 s for students" in message
    assert "pass at least --time-budget 1min" in message
    assert not list((tmp_path / "runs").iterdir())


def test_time_that_is_left_beside_a_teacher_is_known_before_it_is_trained(complaint: Complaint, cache: Path) -> None:
    message = complaint("--time-budget", "36s", "--teacher-size", "8/4", without=("--teacher",))
    assert "--time-budget 36 s leaves 0 s for students" in message
    assert not (cache / "teachers").exists()


@pytest.fixture
def stopped(tmp_path: Path, tiny_flags: list[str]) -> Path:
    """The folder of a search that was stopped."""
    config = search_config(read_flags([*tiny_flags, "--storage", str(tmp_path / "runs"), "--name", "old"]))
    write_json(config.folder / "search.json", config.to_dict())
    return config.folder


def refused(*argv: str) -> str:
    with pytest.raises(InputError) as caught:
        main(argv)
    return str(caught.value)


def test_search_that_is_not_there_cannot_be_resumed(stopped: Path) -> None:
    for name in ("new", "../runs/old", ""):
        message = refused("--resume", name, "--storage", str(stopped.parent))
        assert "no search to resume" in message or "--resume" in message
        assert "\n" not in message


@pytest.mark.parametrize(
    "flags",
    [
        ["--budget", "2GMAC"],
        ["--lr", "1"],
        ["--methods", "none"],
        ["--name", "other"],
        ["--epochs", "7"],
        ["--remix"],
        ["--train-clips", "9"],
        ["--seed", "1"],
    ],
)
def test_flag_that_contradicts_a_resumed_search_is_refused(stopped: Path, flags: list[str]) -> None:
    before = sorted(stopped.rglob("*"))
    message = refused("--resume", "old", "--storage", str(stopped.parent), *flags)
    assert flags[0] in message
    assert "leave the flag out" in message
    assert sorted(stopped.rglob("*")) == before


def test_broken_configuration_of_a_resumed_search_is_refused(stopped: Path) -> None:
    values = read_json(stopped / "search.json")
    del values["methods"]
    for content in ("{", "[]", json.dumps(values), json.dumps(values | {"methods": ["none"], "colour": "red"})):
        (stopped / "search.json").write_text(content)
        message = refused("--resume", "old", "--storage", str(stopped.parent))
        assert "search.json" in message or "configuration is not whole" in message


def test_tracking_server_may_be_another_one_when_a_search_is_resumed(stopped: Path) -> None:
    flags = ["--resume", "old", "--storage", str(stopped.parent), "--tracking-uri"]
    assert search_config(read_flags([*flags, "http://here:5000"])).tracking_uri == "http://here:5000"
    assert search_config(read_flags([*flags, "sqlite:///a.db"])).tracking_uri == f"sqlite:///{Path('a.db').absolute()}"


def test_first_line_is_the_budget_in_all_units(tmp_path: Path, tiny_flags: list[str], capsys) -> None:
    refused(*tiny_flags, "--storage", str(tmp_path), "--cpus-per-trial", "10000")
    first = capsys.readouterr().out.splitlines()[0]
    assert first.startswith("Budget: 0.1 GMAC on the axis of the paper's Table 1; true cost about 0.06")
    assert "GMAC/s" in first
    assert "MMAC/frame" in first


def test_dry_run_shows_what_would_run_and_leaves_nothing(
    tmp_path: Path, tiny_flags: list[str], capsys, monkeypatch
) -> None:
    monkeypatch.setattr(search.run, "STARTED", time.time())
    brackets = tmp_path / "[/runs]"  # no markup of rich's
    assert main([*tiny_flags, "--storage", str(brackets), "--time-budget", "5min", "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "15 configurations of 3 sizes, from 8/4 (0.0239 GMAC" in out
    assert "train:" in out
    assert "8 speakers" in out
    assert "Estimated time:" in out
    assert out.endswith("Nothing was trained.\n")
    assert not brackets.exists()


def test_dry_run_as_json_has_nothing_else_on_stdout(tmp_path: Path, tiny_flags: list[str], capsys) -> None:
    assert main([*tiny_flags, "--storage", str(tmp_path / "runs"), "--dry-run", "--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["students"]["most"] == 3
    assert printed.err.endswith("Nothing was trained.\n")


def test_resumed_search_takes_its_configuration_from_its_folder(stopped: Path, tiny_flags: list[str]) -> None:
    first = search_config(read_flags([*tiny_flags, "--storage", str(stopped.parent), "--name", "old"]))
    flags = ["--resume", "old", "--storage", str(stopped.parent)]
    assert search_config(read_flags(flags)) == first
    assert search_config(read_flags([*flags, "--budget", "0.1GMAC", "--seed", "0"])) == first  # the same is no conflict

    stopped.rename(stopped.with_name("renamed"))
    flags = ["--resume", "renamed", "--storage", str(stopped.parent)]
    assert search_config(read_flags(flags)) == replace(first, name="renamed")


@pytest.mark.parametrize("content", [b"", bytes(range(256)) * 8], ids=["0 bytes", "corrupt"])
def test_corpus_without_a_usable_file_ends_the_command_with_code_2_and_one_line(
    tmp_path: Path, tiny_flags: list[str], content: bytes
) -> None:
    for number in range(5):
        (tmp_path / "speech" / f"speaker{number}").mkdir(parents=True)
        (tmp_path / "speech" / f"speaker{number}" / "a.wav").write_bytes(content)
    flags = [*tiny_flags, "--speech", str(tmp_path / "speech")]  # the last one counts
    done = subprocess.run(
        [sys.executable, SCRIPT, *flags, "--storage", tmp_path / "runs"],
        cwd=tmp_path, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    reason = "undecodable" if content else "empty"
    expected = f"error: none of the 3 speech files for training can be used, most often: {reason} (the first: "
    assert done.stderr.startswith(expected)
    assert str(tmp_path / "speech") in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["speech"]


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--budget", "1.0"], "1.0GMAC/s"),
        (["--budget", "1.0GMAC", "--name", "../x"], "'../x'"),
        (["--budget", "1.0GMAC", "--address", "127.0.0.1:1"], "nothing answers"),
        (["--budget", "1.0GMAC", "--address", "127.0.0.1:1", "--dry-run"], "nothing answers"),
    ],
)
def test_bad_input_ends_the_command_with_code_2_and_one_line(tmp_path: Path, flags: list[str], named: str) -> None:
    done = subprocess.run(
        [sys.executable, SCRIPT, *flags, "--storage", tmp_path / "runs"],
        cwd=tmp_path, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert named in lines[0]
    assert not list(tmp_path.iterdir())


def test_ctrl_c_while_modules_are_loaded_ends_the_command_without_a_word(tmp_path: Path) -> None:
    (tmp_path / "rich").mkdir()  # found before the real one
    (tmp_path / "rich" / "__init__.py").write_text("import sys, time; print('loading', flush=True); time.sleep(60)")
    process = subprocess.Popen(
        [sys.executable, SCRIPT, "--budget", "1.0GMAC"], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(tmp_path)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        # tests that run in the background of a shell inherit a SIGINT that is ignored
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "loading\n"
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60) == ("", "")
    assert process.returncode == 130
