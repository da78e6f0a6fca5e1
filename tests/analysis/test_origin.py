from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.bootstrap import pesq_summary
from analysis.origin import again, known_pesq, own_pesq, own_tables, scores_by_snr, search_clips
from data.files import plain, write_json
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


def with_tables(folder: Path, trial: int, offset: float = 0.0) -> np.ndarray:
    """Writes validation scores of a training, and test scores of it and of another one; returns its table."""
    table = np.random.default_rng(0).normal(1.5 + offset, 0.1, (12, 5))
    table[3, 1] = np.nan  # unscored
    write_json(folder / "students" / f"{trial:04d}" / "scores.json", {"val_table": plain(table.tolist())})
    rows = plain((table + 0.2).tolist())
    write_json(folder / "test_scores.json", {
        "set": "x", "snrs_db": [-5, 0, 5, 10, 15], "beside": {"unprocessed": rows},
        "students": {str(trial): rows, "8": plain((table + 1).tolist())},
    })  # fmt: skip
    return table


def test_scores_by_snr_of_both_splits_have_bootstrapped_intervals(tmp_path: Path, student) -> None:
    table = with_tables(tmp_path, 7)
    record = student(7, 0.5, 1.5, pesq_test=1.7)
    found = scores_by_snr(record, own_tables(tmp_path, record))
    assert list(found) == ["-5", "0", "5", "10", "15"]
    for split, above in (("val", 0.0), ("test", 0.2)):
        low, high = found["0"][f"{split}_interval"]
        assert found["0"][split] == pytest.approx(np.nanmedian(table[:, 1]) + above)
        assert low < found["0"][split] < high
        assert high - low < np.ptp(table[:, 4])


def test_without_tables_the_medians_of_the_record_stand_without_intervals(tmp_path: Path, student) -> None:
    record = student(7, 0.5, 1.5, pesq_test=1.4, pesq_by_snr={"0": 1.4})
    assert own_tables(tmp_path, record) == {}
    assert own_pesq(record, {}) == {"val": 1.5, "test": 1.4}
    assert scores_by_snr(record, {})["0"] == {
        "val": record["pesq_val_by_snr"]["0"], "val_interval": None, "test": 1.4, "test_interval": None,
    }  # fmt: skip
    assert scores_by_snr({"trial": 1}, {}) == {}


def test_of_several_seeds_the_scores_are_those_of_the_one_that_is_deployed(tmp_path: Path, student) -> None:
    several = {"trials": [7, 8], "pesq_val_seeds": [1.5, 2.5], "pesq_test": 2.2, "pesq_test_seeds": [1.7, 2.7]}
    record = student(7, 0.5, 2.0, pesq_by_snr={"0": 2.2}, **several)
    assert own_pesq(record, {}) == {"val": None, "test": None}  # the means are no seed's
    assert scores_by_snr(record, {}) == {}
    table = with_tables(tmp_path, 7)
    tables = own_tables(tmp_path, record)
    assert own_pesq(record, tables) == {
        "val": pytest.approx(pesq_summary(table)), "test": pytest.approx(pesq_summary(table) + 0.2),
    }  # fmt: skip
    assert scores_by_snr(record, tables)["15"]["val"] == pytest.approx(np.median(table[:, 4]))


def test_test_scores_of_an_earlier_end_of_the_search_are_not_the_students(tmp_path: Path, student) -> None:
    with_tables(tmp_path, 7)
    assert list(own_tables(tmp_path, student(7, 0.5, 1.5, pesq_test=None))) == ["val"]


def test_test_scores_of_a_search_count_for_its_own_weights_and_clips_alone(tmp_path: Path) -> None:
    rows = [[1.1, 1.2, 1.3, 1.4, None]]
    content = {"set": "abc", "students": {"7": rows}, "more": {"7": {"weights_sha256": "w"}}}
    (tmp_path / "test_scores.json").write_text(json.dumps(content))
    found = known_pesq(tmp_path, 7, "w", "abc")
    assert found is not None
    np.testing.assert_array_equal(found, [[1.1, 1.2, 1.3, 1.4, np.nan]])
    for folder, trial, weights, digest in (
        (tmp_path, 7, "other", "abc"), (tmp_path, 7, "w", "other"), (tmp_path, 8, "w", "abc"),
        (tmp_path / "no", 7, "w", "abc"),
    ):  # fmt: skip
        assert known_pesq(folder, trial, weights, digest) is None


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
