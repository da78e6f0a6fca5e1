"""Which code made something, and what an exported student comes from."""

from __future__ import annotations

import importlib.metadata
import subprocess
from collections.abc import Mapping, Sequence
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


def told_version(version: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None) -> str | None:
    """Code in words: `ftjnf-students 0.1, commit 1a2b, with changes`; None where nothing is known.

    Args:
        version: of `code_version`, or several of them, one after the other.
    """
    versions = [version] if isinstance(version, Mapping) else version or []
    told = []
    for one in versions:
        parts = [f"ftjnf-students {one['package']}"] if one.get("package") else []
        parts += [f"commit {one['git_commit']}"] if one.get("git_commit") else []
        told.append(", ".join([*parts, *(["with changes"] if one.get("changed") else [])]))
    return "; then ".join(text for text in told if text) or None


def lineage(config: Mapping[str, Any]) -> dict[str, Any]:
    """What an exported student comes from: hashes of data, teacher and weights, its seed, and the code behind it.

    Args:
        config: what `model.export.export_student` writes to `config.json`.

    Returns:
        By name; None where it is not known.
    """
    origin, recipe = config.get("origin") or {}, config.get("recipe") or {}
    return {
        "data_manifest_sha256": origin.get("data_manifest_sha256"),
        "teacher_sha256": origin.get("teacher_sha256"),
        "weights_sha256": origin.get("weights_sha256"),
        "seed": (recipe.get("train") or {}).get("seed"),
        "trained_with": told_version(origin.get("code")),
        "exported_with": told_version(config.get("code")),
    }


def _git(root: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
