from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np
import pytest

from analysis.origin import command, scores_by_snr, search_clips
from data.plan import DataPlan, prepare
from search.flags import read_flags

SETTINGS = {
    "budget": "1.0GMAC", "preset": "short", "name": "headset", "seed": 3, "trials": 4, "methods": ["none", "linear"],
    "sizes": None, "time_budget": 3600.0, "teacher": None,
    "data": {"speech": "my speech", "noise": "noise", "rirs": "rirs", "hours": [38, 4.8, 1.2], "remix": True},
    "train": {"epochs": 30, "lr": 0.001},
}  # fmt: skip


def test_the_command_that_made_a_search_has_flags_that_exist_and_its_epochs() -> None:
    line = command(SETTINGS, epochs=14)
    assert line is not None
    words = shlex.split(line)
    assert words[:2] == ["python", "search/run.py"]
    for pair in (["--budget", "1.0GMAC"], ["--speech", "my speech"], ["--methods", "none,linear"], ["--epochs", "14"],
                 ["--hours", "38,4.8,1.2"], ["--time-budget", "3600s"]):  # fmt: skip
        assert words[words.index(pair[0]) + 1] == pair[1]
    assert "--remix" in words
    assert "--sizes" not in words
    read_flags(words[2:])
    assert command(None) is None


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
