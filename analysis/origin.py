"""Where a chosen student comes from: its own scores, the clips of its search, the command that made it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from analysis.front import bootstrap_interval, pesq_summary
from analysis.scenes import Table, TestScores
from analysis.series import Record, is_number, seeds_of
from data.cores import usable_cores
from data.errors import InputError
from data.examples import ExampleSet
from data.files import cache_root, read_json
from data.plan import DataPlan, scored_sets
from data.scene import SNRS_DB
from model.clips import Clips
from search.again import words_again
from search.config import SearchConfig

OTHER_CORPORA = "the corpora here are not those of the search"


def again(configuration: Mapping[str, Any] | None, epochs: int | None = None) -> tuple[str | None, dict[str, Any]]:
    """The command line that makes a search again, and what the space file that it names has to hold, if it names one.

    Args:
        configuration: the search's `search.json`; None where it is not known.
        epochs: a stage, where the search had to fit them into its time budget: the command then names them instead.

    Returns:
        None and nothing where the configuration is not known, or is of another version.
    """
    try:
        config = SearchConfig.from_dict(dict(configuration or {}))
        if epochs is not None:
            config = replace(config, train=replace(config.train, epochs=epochs))
        words, space = words_again(config)
    except InputError:
        return None, {}
    return shlex.join(["python", "search/run.py", *words]), space


def own_tables(folder: Path, student: Record) -> dict[str, Table]:
    """PESQ by clip of the training that a student is deployed from, and of none of its other seeds.

    Args:
        folder: the run folder.
        student: its record.

    Returns:
        (clips, SNRs) by "val" and "test", as far as the folder has them; NaN where a clip has no score.
    """
    found: dict[str, Table] = {}
    path = folder / "students" / f"{student['trial']:04d}" / "scores.json"
    if path.is_file():
        rows = read_json(path).get("val_table") or []
        found["val"] = np.array([[np.nan if one is None else one for one in row] for row in rows], np.float64)
    if is_number(student.get("pesq_test")):  # else the table, if any, is of an earlier end of the search
        with suppress(InputError):
            tested = TestScores.read(folder).students
            if student["trial"] in tested:
                found["test"] = tested[student["trial"]]
    return {split: table for split, table in found.items() if table.ndim == 2 and table.shape[1] == len(SNRS_DB)}


def own_pesq(student: Record, tables: Mapping[str, Table]) -> dict[str, float | None]:
    """PESQ of the training that a student is deployed from, by "val" and "test"; None where it is not known.

    The record's `pesq_val` and `pesq_test` are means over the seeds where there are several.

    Args:
        student: its record.
        tables: of `own_tables`.
    """
    found: dict[str, float | None] = {}
    for split in ("val", "test"):
        value = pesq_summary(tables[split]) if split in tables else None
        if value is None and seeds_of(student, split) == 1:
            value = student.get(f"pesq_{split}")
        found[split] = float(value) if is_number(value) else None
    return found


def scores_by_snr(student: Record, tables: Mapping[str, Table]) -> dict[str, dict[str, Any]]:
    """Median PESQ by SNR ("-5", ...) of the training that is deployed, with the bootstrapped 95 % intervals of medians.

    Args:
        student: its record.
        tables: of `own_tables`.

    Returns:
        `val`, `val_interval`, `test`, `test_interval` by SNR, None where not known; empty where nothing is.
    """
    found: dict[str, dict[str, Any]] = {}
    for column, snr in enumerate(f"{snr:g}" for snr in SNRS_DB):
        row: dict[str, Any] = {}
        for split, by_snr in (("val", "pesq_val_by_snr"), ("test", "pesq_by_snr")):
            value = interval = None
            if split in tables:
                scores = tables[split][:, [column]]
                value, ends = pesq_summary(scores), bootstrap_interval(scores, n=500)
                interval = list(ends) if all(map(is_number, ends)) else None
            elif seeds_of(student, split) == 1:  # of several it is their mean
                value = (student.get(by_snr) or {}).get(snr)
            row |= {split: value if is_number(value) else None, f"{split}_interval": interval}
        found[snr] = row
    return found if any(value is not None for row in found.values() for value in row.values()) else {}


def known_pesq(folder: Path, trial: int, weights: str, test_set: str) -> Table | None:
    """(clips, 5) test PESQ of these weights as the search has written it; None where it has not, or on other clips."""
    try:
        stored = read_json(folder / "test_scores.json")
        if (stored["set"], stored["more"][str(trial)]["weights_sha256"]) != (test_set, weights):
            return None
        return np.array(stored["students"][str(trial)], np.float64)  # null is NaN
    except (InputError, KeyError, TypeError, ValueError):  # none, or another version's
        return None


def cache_of(folder: Path) -> Path:
    """The cache of a search: beside its run folder where machines share it, else this user's."""
    shared = folder.resolve().parent / "cache"
    return shared if shared.is_dir() else cache_root()


def search_clips(folder: Path, configuration: Mapping[str, Any] | None) -> Clips:
    """The clips that a search has scored its students on, from the cache or made anew from its corpora.

    Args:
        folder: the run folder, whose `data.json` says which sets they were.
        configuration: its `search.json`; None where there is none.
    """
    if not configuration or not configuration.get("data") or not (folder / "data.json").is_file():
        return Clips(None, None, "the search's folder does not tell its data")
    manifest = read_json(folder / "data.json")
    sets = manifest.get("sets") or {}
    wanted = [(sets.get(name) or {}).get("digest") for name in ("score_val", "score_test")]
    if None in wanted:
        return Clips(None, None, "the search's data.json does not tell its sets")
    cache = cache_of(folder)
    workers = max(1, usable_cores())
    cached = [cache / "sets" / f"score-{digest}" for digest in wanted]
    try:
        if all((place / "index.json").is_file() for place in cached):
            val, test = (ExampleSet(place) for place in cached)
        else:
            val, test = scored_sets(_plan(configuration["data"]), cache)
    except (InputError, OSError) as error:
        return Clips(None, None, f"the search's clips cannot be had here ({error})")
    if [val.digest, test.digest] != wanted:
        return Clips(None, None, OTHER_CORPORA)
    return Clips(val, test, workers=workers)


def _plan(values: Mapping[str, Any]) -> DataPlan:
    """A data plan from `search.json`.

    Raises:
        InputError: it was written by another version.
    """
    known = {field.name for field in fields(DataPlan)}
    if set(values) - known:
        raise InputError("search.json was written by another version")
    given = dict(values)
    for name in ("speech", "noise", "rirs"):
        given[name] = None if given.get(name) is None else Path(given[name])
    given["hours"] = None if given.get("hours") is None else tuple(given["hours"])
    return DataPlan(**given)
