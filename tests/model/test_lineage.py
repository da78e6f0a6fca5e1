from __future__ import annotations

import subprocess
from pathlib import Path

from model.lineage import code_version, lineage, version_text


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


def test_a_version_is_told_as_far_as_it_is_known() -> None:
    code = {"package": "0.1", "git_commit": "abc", "changed": False}
    assert version_text(code) == "ftjnf-students 0.1, commit abc"
    assert version_text(code | {"changed": True}) == "ftjnf-students 0.1, commit abc, with changes"
    assert version_text({"package": "0.1", "git_commit": None, "changed": None}) == "ftjnf-students 0.1"
    assert version_text({"package": None, "git_commit": None, "changed": None}) is None


def test_the_code_that_trained_and_the_code_that_exported_are_told_apart() -> None:
    config = {
        "origin": {"trained_with": [{"package": None}, {"git_commit": "abc"}], "teacher_sha256": None},
        "code": {"git_commit": "def"},
        "recipe": {"train": {"seed": 0}},
    }
    told = {"seed": "0", "trained_with": "not known; then commit abc", "exported_with": "commit def"}
    assert lineage(config) == told
    assert lineage({}) == {}
