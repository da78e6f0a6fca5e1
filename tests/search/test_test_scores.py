from __future__ import annotations

from pathlib import Path

import numpy as np

from data.files import read_json
from model.score import Scores
from search.test_scores import StoredScores


def scores(level: float) -> Scores:
    table = np.full((3, 5), level)
    table[1, 2] = np.nan
    return Scores(table, table - 1, None)


def test_scores_are_read_back_as_they_were_for_the_same_weights_and_clips(tmp_path: Path) -> None:
    stored = StoredScores(tmp_path, "clips")
    stored.put(7, scores(1.5), "weights")
    stored.put("unprocessed", scores(1.1))
    stored.write()
    again = StoredScores(tmp_path, "clips")
    found, noisy = again.get(7, "weights"), again.get("unprocessed")
    assert found is not None
    assert noisy is not None
    np.testing.assert_array_equal(found.pesq, scores(1.5).pesq)
    assert found.si_sdr is not None
    np.testing.assert_array_equal(found.si_sdr, scores(1.5).pesq - 1)
    assert found.estoi is None
    np.testing.assert_array_equal(noisy.pesq, scores(1.1).pesq)


def test_scores_of_other_weights_or_clips_are_none(tmp_path: Path) -> None:
    stored = StoredScores(tmp_path, "clips")
    stored.put(7, scores(1.5), "weights")
    stored.write()
    assert StoredScores(tmp_path, "clips").get(7, "others") is None
    assert StoredScores(tmp_path, "clips").get(8, "weights") is None
    assert StoredScores(tmp_path, "other clips").get(7, "weights") is None
    (tmp_path / "test_scores.json").write_text("[]")
    assert StoredScores(tmp_path, "clips").get(7, "weights") is None


def test_table_has_null_where_there_is_no_score(tmp_path: Path) -> None:
    stored = StoredScores(tmp_path, "clips")
    stored.put(7, scores(1.5), "weights")
    stored.write()
    content = read_json(tmp_path / "test_scores.json")
    assert content["students"]["7"][1] == [1.5, 1.5, None, 1.5, 1.5]
    assert content["snrs_db"] == [-5, 0, 5, 10, 15]
