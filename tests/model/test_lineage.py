from __future__ import annotations

import subprocess
from pathlib import Path

from model.lineage import code_version


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
