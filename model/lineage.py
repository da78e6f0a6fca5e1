"""Which code made something: the package's version, and the commit where it lies in a git checkout."""

from __future__ import annotations

import importlib.metadata
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def code_version(root: Path = ROOT) -> dict[str, Any]:
    """`package` and, in a git checkout, `git_commit` and `changed`: whether files differ from it. None where not known.

    Args:
        root: where the code lies.
    """
    try:
        package = importlib.metadata.version("ftjnf-students")
    except importlib.metadata.PackageNotFoundError:
        package = None
    inside = _git(root, "rev-parse", "--show-toplevel")
    # a checkout of something else may lie above, for instance around an environment's folder
    own = inside is not None and Path(inside).resolve() == root.resolve()
    status = _git(root, "status", "--porcelain", "--untracked-files=no") if own else None
    return {
        "package": package,
        "git_commit": _git(root, "rev-parse", "HEAD") if own else None,
        "changed": None if status is None else bool(status),
    }


def _git(root: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
