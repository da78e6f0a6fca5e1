from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from data.errors import InputError
from search.again import SPACE_FILE, words_again
from search.config import SearchConfig
from search.flags import read_flags, search_config

FOLDERS = ["--speech", "my speech", "--noise", "b", "--rirs", "c"]


def check(flags: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """That the words for a search make the same one, from its `search.json` and in another folder; gives the words."""
    made = search_config(read_flags(["--budget", "1.0GMAC", "--name", "x", *flags]))
    config = SearchConfig.from_dict(json.loads(json.dumps(made.to_dict())))
    words, space = words_again(config)
    assert ("--space" in words) is bool(space)
    again = folder / "again"
    again.mkdir()
    monkeypatch.chdir(again)
    if space:
        (again / SPACE_FILE).write_text(json.dumps(space))
    found = search_config(read_flags(words))
    where = {name: getattr(config, name) for name in ("storage", "address", "tracking_uri")}
    assert replace(found, **where) == config
    return words


@pytest.mark.parametrize(
    "flags",
    [
        [],
        ["--preset", "demo", *FOLDERS],
        [*FOLDERS, "--time-budget", "8h"],
        FOLDERS,
        ["--preset", "full"],
        [*FOLDERS, "--preset", "paper"],
    ],
)
def test_the_words_of_a_preset_say_little_more_than_its_name(
    flags: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = check(flags, tmp_path, monkeypatch)
    said = {word for word in words if word.startswith("--")}
    more = {"--speech", "--noise", "--rirs", "--time-budget"} & set(flags)
    assert said == {"--budget", "--preset", "--name", "--precision"} | more


@pytest.mark.parametrize(
    "flags",
    [
        [*FOLDERS, "--alpha", "0.5"],  # the usual value, and no other is tried
        [*FOLDERS, "--schedules", "constant", "--alpha", "0.3"],
        [*FOLDERS, "--schedules", "two-stage"],  # nothing heeds what the preset varies
        ["--sampler", "grid"],
        ["--sampler", "grid", "--patience", "5", "--halving", "on"],
        ["--repeats", "3"],
        ["--halving", "off", "--repeat-front", "1", "--patience", "0", "--priors", "none"],
        ["--lr", "1e-05", "--lr-schedule", "plateau", "--soft-scale", "none", "--batch", "2", "--epochs", "3"],
        ["--gram", "frame", "--gram-normalise", "cosine", "--methods", "none,t-lstm", "--sizes", "64/16,E"],
        [*FOLDERS, "--teacher-size", "B", "--teacher-time", "1h30min", "--time-budget", "30d", "--hours", "8"],
        [*FOLDERS, "--preset", "paper", "--teacher", "t.safetensors", "--init", "slice"],
        ["--teacher", "none", "--methods", "none", "--init", "random"],
        ["--seed", "7", "--trials", "3", "--score-every", "2", "--warm-start", "earlier", "--cpus-per-trial", "0.5"],
        ["--gpus-per-trial", "0.25", "--precision", "bf16", "--cache-size", "1.5TB", "--keep-checkpoints", "all"],
        [*FOLDERS, "--no-remix", "--train-clips", "9", "--val-clips", "8", "--score-clips", "7", "--test-clips", "6"],
        ["--array", "line", "--clip-seconds", "1.5", "--remix", "--storage", "elsewhere", "--address", "auto"],
    ],
)
def test_the_words_say_every_flag_that_shaped_the_search(
    flags: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "--space" not in check(flags, tmp_path, monkeypatch)


@pytest.mark.parametrize(
    "space",
    [
        {"f_hidden": {"from": 16, "to": 80, "step": 16}, "t_hidden": [8, 16]},
        {"sizes": ["F", "64/16"]},
        {"bi_freq": True, "repeats": 2},
        {"alpha": [0.2, 0.4]},
        {"ramp": [0.25, 0.5], "lr": [5e-4, 1e-3], "alpha": [0.3]},
        {"kd_method": ["t-lstm"], "alpha_schedule": ["two-stage"], "soft_share": [0.25, 0.5]},
        {"gram_form": ["positions", "frame"], "gram_normalise": ["plain", "cosine"]},
        {"repeats": 2, "init": ["random"]},
    ],
)
@pytest.mark.parametrize("folders", [[], FOLDERS])
def test_what_only_a_space_file_can_say_stands_in_one(
    space: dict[str, object], folders: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not folders and {"alpha", "ramp"} & space.keys():
        space |= {"alpha_schedule": ["constant", "linear"]}
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(space))
    check([*folders, "--space", str(path)], tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        # as a space file with `repeats` made it once
        ({"repeats": 3, "halving": None, "patience": 10}, "halving"),
        ({"train": replace(search_config(read_flags(["--budget", "1.0GMAC"])).train, stop_after=99)}, "train"),
    ],
)
def test_search_that_no_words_of_this_version_say_is_refused(changes: dict[str, Any], name: str) -> None:
    config = search_config(read_flags(["--budget", "1.0GMAC", "--name", "x"]))
    words_again(config)
    with pytest.raises(InputError, match=f"no command of this version makes x again: .* decided on its {name};"):
        words_again(replace(config, **changes))
