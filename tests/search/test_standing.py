"""What a student that goes on has to show: files as `run_student` writes them, without a training."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.files import file_digest, read_json, write_json
from search.standing import STANDING, WEIGHTS, drop_standing, goes_on, keep_standing, scored_weights, was_cut


@pytest.fixture
def cut(tmp_path: Path) -> Path:
    """The folder of a student that the time cut short."""
    (tmp_path / WEIGHTS).write_bytes(b"first")
    write_json(tmp_path / "scores.json", {"weights_sha256": file_digest(tmp_path / WEIGHTS)})
    write_json(tmp_path / "result.json", {"stopped": "time"})
    return tmp_path


def test_scored_weights_stay_while_the_training_replaces_its_best(cut: Path) -> None:
    assert was_cut(cut)
    assert not goes_on(cut)
    keep_standing(cut)
    (cut / WEIGHTS).write_bytes(b"second")
    keep_standing(cut)  # killed, and begun once more
    assert goes_on(cut)
    assert scored_weights(cut).read_bytes() == b"first"
    write_json(cut / "scores.json", {"weights_sha256": file_digest(cut / WEIGHTS)})
    assert scored_weights(cut).read_bytes() == b"second", "killed between its new score and its new result"
    keep_standing(cut)
    (cut / WEIGHTS).write_bytes(b"third")
    assert scored_weights(cut).read_bytes() == b"second"
    drop_standing(cut)
    assert scored_weights(cut).read_bytes() == b"third"
    assert not goes_on(cut)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("result.json", {"stopped": "halved"}),  # it waited at a rung
        ("scores.json", {}),  # an earlier version's
        ("scores.json", {"weights_sha256": "of others"}),
    ],
)
def test_score_without_its_weights_does_not_stand(cut: Path, name: str, content: dict[str, str]) -> None:
    write_json(cut / name, content)
    keep_standing(cut)
    assert [path.name for path in cut.iterdir()] == [WEIGHTS]
    assert not was_cut(cut)


def test_student_that_was_cut_before_its_last_stage_has_nothing_that_stands(cut: Path) -> None:
    (cut / WEIGHTS).unlink()
    (cut / "scores.json").unlink()
    assert was_cut(cut)
    keep_standing(cut)
    assert not list(cut.iterdir())
    assert scored_weights(cut) == cut / WEIGHTS


def test_what_stands_is_a_copy_that_is_made_once(cut: Path) -> None:
    keep_standing(cut)
    made = (cut / STANDING).stat().st_mtime_ns
    keep_standing(cut)
    assert (cut / STANDING).stat().st_mtime_ns == made
    assert read_json(cut / "result.json") == {"stopped": "time"}
