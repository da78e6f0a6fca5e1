from __future__ import annotations

import subprocess
from pathlib import Path

from model.lineage import code_version, lineage, told_version


def git(folder: Path, *words: str) -> str:
    names = ["-c", "user.name=a", "-c", "user.email=a@b"]
    done = subprocess.run(["git", *names, "-C", str(folder), *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_code_in_a_checkout_is_known_by_its_commit_and_whether_it_has_changed(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    (tmp_path / "code").write_text("one")
    git(tmp_path, "add", "code")
    git(tmp_path, "commit", "-qm", "one")
    told = code_version(tmp_path)
    assert told["git_commit"] == git(tmp_path, "rev-parse", "HEAD")
    assert told["changed"] is False
    (tmp_path / "code").write_text("two")
    assert code_version(tmp_path)["changed"] is True


def test_code_below_a_checkout_of_something_else_is_not_taken_for_it(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    (tmp_path / "packages").mkdir()
    told = code_version(tmp_path / "packages")
    assert (told["git_commit"], told["changed"]) == (None, None)


def test_code_is_told_in_words_one_version_after_the_other() -> None:
    first = {"package": "0.1", "git_commit": "ab", "changed": True}
    second = {"package": "0.2", "git_commit": None, "changed": None}
    assert told_version(first) == "ftjnf-students 0.1, commit ab, with changes"
    assert told_version([first, second]) == "ftjnf-students 0.1, commit ab, with changes; then ftjnf-students 0.2"
    assert told_version(None) is None
    assert told_version({"package": None, "git_commit": None, "changed": None}) is None


def test_lineage_names_the_code_of_training_and_export_apart() -> None:
    config = {
        "origin": {"teacher_sha256": "t", "code": [{"package": "1", "git_commit": "old", "changed": False}]},
        "recipe": {"train": {"seed": 0}},
        "code": {"package": "1", "git_commit": "new", "changed": False},
    }
    assert lineage(config) == {
        "data_manifest_sha256": None, "teacher_sha256": "t", "weights_sha256": None, "seed": 0,
        "trained_with": "ftjnf-students 1, commit old", "exported_with": "ftjnf-students 1, commit new",
    }  # fmt: skip
