"""Which code made something, the package's version and the commit of a git checkout; where a student comes from."""

from __future__ import annotations

import importlib.metadata
import subprocess
from collections.abc import Mapping
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


def version_text(code: Mapping[str, Any]) -> str | None:
    """What `code_version` found as words; None where it found nothing."""
    commit = code.get("git_commit")
    parts = [f"ftjnf-students {code['package']}"] if code.get("package") else []
    if commit:
        parts.append(f"commit {commit}{', with changes' if code.get('changed') else ''}")
    return ", ".join(parts) or None


def lineage(config: Mapping[str, Any]) -> dict[str, str]:
    """Where an exported student comes from: hashes, seed, and the code that trained and exported it, as far as known.

    Args:
        config: what `model.export.export_student` writes to `config.json`. Its `origin` has `trained_with`: what
            `code_version` found in each session of the search, without repetitions.
    """
    origin, recipe = config.get("origin") or {}, config.get("recipe") or {}
    versions = [version_text(code) or "not known" for code in origin.get("trained_with") or []]
    told = {name: origin.get(name) for name in ("data_manifest_sha256", "teacher_sha256", "weights_sha256")}
    told["seed"] = (recipe.get("train") or {}).get("seed")
    told["trained_with"] = "; then ".join(versions) or None
    told["exported_with"] = version_text(config.get("code") or {})
    return {name: str(value) for name, value in told.items() if value is not None}


def _git(root: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
