from __future__ import annotations

from pathlib import Path

import pytest

from data.errors import InputError
from data.files import write_json
from search.config import SearchConfig
from search.flags import read_flags, search_config
from search.proposal import Proposal
from search.resume import check_trials, more_of
from search.space import Choice


@pytest.fixture
def config(tmp_path: Path) -> SearchConfig:
    """A search whose folder is there."""
    made = search_config(
        read_flags(["--budget", "1.0GMAC", "--storage", str(tmp_path), "--name", "x", "--trials", "20"])
    )
    write_json(made.folder / "search.json", made.to_dict())
    return made


def resumed(tmp_path: Path, *flags: str) -> SearchConfig:
    return search_config(read_flags(["--resume", "x", "--storage", str(tmp_path), *flags]))


def test_all_comes_from_the_folder_but_what_is_said_anew(config: SearchConfig, tmp_path: Path) -> None:
    assert resumed(tmp_path) == config
    anew = resumed(
        tmp_path, "--trials", "40", "--time-budget", "2h", "--patience", "0", "--repeat-front", "3",
        "--keep-checkpoints", "all",
    )  # fmt: skip
    assert (anew.trials, anew.time_budget, anew.patience, anew.repeat_front) == (40, 7200, 0, 3)
    assert anew.keep_checkpoints == "all"
    assert (anew.sampler, anew.seed, anew.train) == (config.sampler, config.seed, config.train)


@pytest.mark.parametrize("flags", [["--epochs", "3"], ["--methods", "none"], ["--sampler", "random"], ["--seed", "1"]])
def test_what_would_make_another_search_of_it_is_refused(
    config: SearchConfig, tmp_path: Path, flags: list[str]
) -> None:
    with pytest.raises(InputError, match=rf"{flags[0]} {flags[1]} cannot be given with --resume"):
        resumed(tmp_path, *flags)
    assert resumed(tmp_path, "--seed", "0", "--sampler", config.sampler, "--budget", "1.0GMAC") == config


def test_fewer_trials_than_were_begun_are_refused_and_failed_ones_do_not_count(config: SearchConfig) -> None:
    choice = Choice(8, 4, "none", "none", "random")
    begun = [Proposal(n, choice, "FAIL" if n < 2 else "COMPLETE", None) for n in range(22)]
    check_trials(config, begun)
    with pytest.raises(InputError, match="--trials 20 is fewer than the 21 students that x has begun already"):
        check_trials(config, [*begun, Proposal(22, choice, "RUNNING", None)])


def test_what_goes_on_with_an_ended_search_depends_on_what_ended_it() -> None:
    assert more_of("trials") == "--trials with a larger number goes on with it."
    assert "--patience" in more_of("patience")
    assert "--trials" not in more_of("all tried")


def test_search_of_an_earlier_version_without_these_settings_goes_on(config: SearchConfig, tmp_path: Path) -> None:
    values = config.to_dict()
    for name in ("repeat_front", "patience", "keep_checkpoints"):
        del values[name]
    write_json(config.folder / "search.json", values)
    old = resumed(tmp_path)
    assert (old.repeat_front, old.patience, old.keep_checkpoints) == (0, 0, "front")
