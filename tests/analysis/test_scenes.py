from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from analysis.scenes import TestScores, heard, picks
from data.errors import InputError
from data.examples import ExampleSet
from data.files import read_json, write_json
from model.score import unprocessed

SNRS = [-5.0, 0.0, 5.0, 10.0, 15.0]


def scores(noisy: np.ndarray, **students: np.ndarray) -> TestScores:
    tables = {int(name[1:]): table for name, table in students.items()}
    return TestScores("d", SNRS, {"unprocessed": noisy}, tables)


def noisy_table() -> np.ndarray:
    return np.array([[1.1, 1.2, 1.3, 1.4, 1.9], [1.05, 1.2, 1.6, 1.5, 1.7], [1.2, 1.3, 1.4, 1.6, 2.0]])


def test_scenes_below_the_input_come_first_the_worst_at_the_top_and_each_clip_once() -> None:
    noisy = noisy_table()
    student, other = noisy + 0.1, noisy + 0.1
    student[0, 1] = noisy[0, 1] - 0.3
    student[0, 2] = noisy[0, 2] - 0.2
    other[2, 3] = noisy[2, 3] - 0.4
    other[0, 1] = noisy[0, 1] - 0.05
    found = picks(scores(noisy, s3=student, s4=other))
    assert [(pick.clip, pick.column) for pick in found[:2]] == [(2, 3), (0, 1)]
    assert found[1].worse == {3: pytest.approx(0.3), 4: pytest.approx(0.05)}
    assert list(found[1].worse) == [3, 4]
    assert [bool(pick.worse) for pick in found] == [True, True, False, False, False]


def test_without_such_a_scene_the_noisiest_a_typical_and_the_cleanest_are_heard() -> None:
    noisy = noisy_table()
    found = picks(scores(noisy, s0=noisy + 0.1))
    assert [(pick.clip, pick.column) for pick in found] == [(1, 0), (2, 2), (2, 4)]
    assert [pick.why.split(":")[0] for pick in found] == ["the noisiest", "a typical one", "the cleanest"]


def test_a_scene_is_heard_once_also_where_it_is_worse_and_the_noisiest() -> None:
    noisy = noisy_table()
    student = noisy + 0.1
    student[1, 0] = noisy[1, 0] - 0.01
    found = picks(scores(noisy, s0=student))
    assert [(pick.clip, pick.column) for pick in found] == [(1, 0), (2, 2), (2, 4)]
    assert found[0].worse == {0: pytest.approx(0.01)}


def test_at_most_so_many_scenes_are_of_the_first_kind_and_unscored_clips_are_none() -> None:
    noisy = noisy_table()
    noisy[0, :] = np.nan
    found = picks(scores(noisy, s0=noisy - 0.2), most_worse=1)
    assert [pick.why for pick in found].count("a student is below the input here") == 1
    assert all(pick.worse for pick in found)  # those that are heard anyway are marked as well
    assert all(pick.clip != 0 for pick in found)


def test_tables_are_read_with_null_as_unscored(run_folder: Path) -> None:
    content = read_json(run_folder / "test_scores.json")
    content["students"]["0"][0][0] = None
    write_json(run_folder / "test_scores.json", content)
    found = TestScores.read(run_folder)
    assert np.isnan(found.students[0][0, 0])
    assert found.snrs_db == SNRS
    assert int((found.losses()[0] > 0).sum()) == 1


ODD = {"unprocessed": [[1.0, 2.0]]}


@pytest.mark.parametrize("spoilt", [{"set": "x"}, [], {"set": "x", "snrs_db": [0], "beside": ODD,
                                                      "students": {}}])  # fmt: skip
def test_tables_that_cannot_be_used_are_named(run_folder: Path, spoilt: object) -> None:
    write_json(run_folder / "test_scores.json", spoilt)
    with pytest.raises(InputError, match=r"test_scores\.json holds no test scores"):
        TestScores.read(run_folder)


def test_a_scene_holds_every_sound_its_score_and_the_clean_speech_last(
    run_folder: Path, scored_set: ExampleSet
) -> None:
    found = TestScores.read(run_folder)
    asked: list[torch.Tensor] = []

    def student(noisy: torch.Tensor) -> torch.Tensor:
        asked.append(noisy)
        return 0.5 * noisy[:, 0]

    (pick, *_) = picks(found)
    assert (pick.clip, pick.column) == (1, 3)
    (scene,) = heard(scored_set, found, [pick], {"unprocessed": unprocessed, "0": student})
    assert torch.equal(asked[0][0], torch.from_numpy(np.array(scored_set.mixture(8))))  # clip 1 at the fourth SNR
    assert [track["name"] for track in scene["tracks"]] == ["unprocessed", "0", "clean"]
    assert [track["pesq"] for track in scene["tracks"]] == [1.4, 1.35, None]
    noisy, halved, _ = scene["tracks"]
    assert halved["gain_db"] - noisy["gain_db"] == pytest.approx(6.0, abs=0.11)
    assert halved["audio"] == noisy["audio"]  # the same sound at one level
    assert all(track["audio"].startswith("data:audio/flac;base64,") for track in scene["tracks"])
    assert scene["worse"] == {"0": pytest.approx(0.05)}
    assert scene["snr_db"] == 10.0
    assert scene["seconds"] == scene["of_seconds"] == pytest.approx(scored_set.lengths[8] / 16_000)


def test_many_long_scenes_are_heard_in_part(
    run_folder: Path, scored_set: ExampleSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("analysis.scenes.EXCERPT_SECONDS", (0.25, 0.5))
    found = TestScores.read(run_folder)
    (scene,) = heard(scored_set, found, picks(found)[:1], {"unprocessed": unprocessed})
    assert scene["seconds"] == 0.5
    assert scene["of_seconds"] > 0.9


def test_scores_of_another_set_are_refused(run_folder: Path, scored_set: ExampleSet) -> None:
    found = TestScores("other", SNRS, {}, {})
    with pytest.raises(InputError, match="others than those that were scored"):
        heard(scored_set, found, [], {})
