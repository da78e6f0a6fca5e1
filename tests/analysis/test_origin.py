from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.origin import again, scores_by_snr, search_clips
from data.plan import DataPlan, prepare
from search.flags import read_flags, search_config


def test_the_command_of_a_search_makes_the_same_search_with_the_epochs_that_it_had(tmp_path: Path) -> None:
    flags = ["--budget", "1.0GMAC", "--name", "headset", "--speech", "my speech", "--noise", "n", "--rirs", "r",
             "--time-budget", "1h"]  # fmt: skip
    made = search_config(read_flags(flags))
    line, space = again(json.loads(json.dumps(made.to_dict())), epochs=14)
    assert line is not None
    words = shlex.split(line)
    assert words[:2] == ["python", "search/run.py"]
    assert search_config(read_flags(words[2:])) == replace(made, train=replace(made.train, epochs=14))
    assert space == {}


def test_the_command_names_a_space_file_for_what_no_flag_can_say() -> None:
    made = search_config(read_flags(["--budget", "1.0GMAC"]))
    line, space = again(replace(made, t_hidden=(8, 16)).to_dict())
    assert line is not None
    assert line.endswith(" --space space.json")
    assert space == {"t_hidden": [8, 16]}


@pytest.mark.parametrize("configuration", [None, {}, {"budget": "1.0GMAC"}, {"budget": "1.0GMAC", "new": 1}])
def test_a_configuration_of_another_version_gives_no_command(configuration: dict[str, Any] | None) -> None:
    assert again(configuration) == (None, {})


def test_scores_by_snr_have_intervals_where_the_table_is_there(tmp_path: Path, student) -> None:
    record = student(7, 0.5, 1.5, pesq_by_snr={"0": 1.4}, pesq_spread_by_snr={"0": [1.3, 1.6]})
    assert scores_by_snr(tmp_path, record)["0"] == {
        "val": record["pesq_val_by_snr"]["0"], "val_interval": None, "test": 1.4, "test_quartiles": [1.3, 1.6],
    }  # fmt: skip
    table = np.random.default_rng(0).normal(1.5, 0.1, (12, 5)).tolist()
    table[3][1] = None  # unscored
    path = tmp_path / "students" / "0007" / "scores.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"val_table": table}))
    low, high = scores_by_snr(tmp_path, record)["0"]["val_interval"]
    middle = np.nanmedian([np.nan if row[1] is None else row[1] for row in table])
    assert low < middle < high
    assert scores_by_snr(tmp_path, {"trial": 1}) == {}


def test_the_clips_of_a_search_are_opened_made_anew_or_told_to_be_missing(
    tmp_path: Path, small_corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FTJNF_CACHE", str(tmp_path / "cache"))
    plan = DataPlan(
        small_corpus.speech, small_corpus.noise, small_corpus.rirs, train_clips=1, val_clips=1, score_clips=1,
        test_clips=1, clip_seconds=0.5,
    )  # fmt: skip
    sets, settings = prepare(plan), {"data": json.loads(json.dumps(plan.to_dict()))}
    folder = tmp_path / "elsewhere" / "run"
    folder.mkdir(parents=True)
    assert search_clips(folder, settings).test is None
    (folder / "data.json").write_text(json.dumps(sets.manifest))
    clips = search_clips(folder, settings)
    assert clips.val is not None
    assert clips.test is not None
    assert [clips.val.folder, clips.test.folder] == [sets.score_val.folder, sets.score_test.folder]

    monkeypatch.setenv("FTJNF_CACHE", str(tmp_path / "new"))
    again = search_clips(folder, settings)
    assert again.test is not None
    assert again.test.digest == sets.score_test.digest
    assert {path.name.split("-")[0] for path in (tmp_path / "new" / "sets").iterdir()} == {"score"}

    monkeypatch.setenv("FTJNF_CACHE", str(tmp_path / "third"))
    other = {"data": settings["data"] | {"seed": 9}}
    assert search_clips(folder, other).why == "the corpora here are not those of the search"
    gone = {"data": settings["data"] | {"speech": str(tmp_path / "gone")}}
    assert "cannot be had here" in search_clips(folder, gone).why
    assert search_clips(folder, None).val is None
