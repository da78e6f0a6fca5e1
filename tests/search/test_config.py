from __future__ import annotations

import json
from dataclasses import replace

import pytest

from data.errors import InputError
from search.config import SearchConfig
from search.dimensions import Dimension
from search.flags import read_flags, search_config
from search.preset import PRESETS

FOLDERS = ["--speech", "a", "--noise", "b", "--rirs", "c"]


def config_of(*flags: str) -> SearchConfig:
    return search_config(read_flags(["--budget", "1.0GMAC", "--name", "x", *flags]))


@pytest.mark.parametrize("preset", PRESETS)
def test_configuration_survives_a_turn_as_json(preset: str) -> None:
    for flags in ([], ["--sizes", "E,64/16", "--hours", "2,1,1", "--time-budget", "8h"]):
        config = config_of(*FOLDERS, "--preset", preset, *flags)
        assert SearchConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_what_is_varied_survives_a_turn_as_json_and_reaches_the_space() -> None:
    dimensions = (Dimension("alpha", (0.3, 0.7)), Dimension("gram_form", ("exact", "frame")))
    config = replace(config_of(), f_hidden=(16, 32), t_hidden=(8,), bi_freq=True, dimensions=dimensions, priors="none")
    again = SearchConfig.from_dict(json.loads(json.dumps(config.to_dict())))
    assert again == config
    space = again.space(5)
    assert [str(size) for size in space.feasible()] == ["16/8bi", "32/8bi"]
    assert (space.dimensions, space.priors) == (dimensions, "none")
    params = config.params()
    assert params["space_alpha"] == (0.3, 0.7)
    assert "dimensions" not in params


def test_folder_of_an_older_search_has_the_usual_grid_and_varies_nothing_else() -> None:
    config = config_of()
    new = {"f_hidden", "t_hidden", "bi_freq", "dimensions", "priors"}
    older = {name: value for name, value in config.to_dict().items() if name not in new}
    assert SearchConfig.from_dict(older) == config


def test_grid_without_sizes_is_the_papers_within_the_budget() -> None:
    config = config_of("--sampler", "grid")
    assert [str(size) for size in config.space(5).feasible()] == ["48/8", "56/8", "64/16", "72/24"]
    assert config.space(3).feasible()[0].microphones == 3
    with pytest.raises(InputError, match="rows B to I of Table 1, but none fits"):
        replace(config, budget="0.1GMAC").space(5)
    assert [str(size) for size in replace(config, sizes=("8/4",)).space(5).feasible()] == ["8/4"]
    assert len(replace(config, t_hidden=(4,)).space(5).feasible()) > 4


def test_space_is_what_fits_of_what_was_asked_for() -> None:
    config = config_of("--methods", "none,linear", "--schedules", "cosine", "--init", "random")
    space = config.space(5)
    assert (space.methods, space.schedules, space.inits) == (("none", "linear"), ("cosine",), ("random",))
    assert len(space.feasible()) > 100
    assert all(size.microphones == 3 for size in config.space(3).feasible())
    named = replace(config, sizes=("E", "64/16", "80/32"), budget="2GMAC").space(5)
    assert {str(size) for size in named.feasible()} == {"80/32", "64/16"}  # E is 80/32


@pytest.mark.parametrize("name", ["mlflow.db", "mlflow.db-wal", "MLflow.db", "mlflow-artifacts", "cache"])
def test_names_of_what_else_lies_in_the_storage_root_are_refused(name: str) -> None:
    with pytest.raises(InputError, match=f"--name {name} is taken in .*; choose another"):
        config_of("--name", name)


def test_name_of_a_tracking_store_of_ones_own_is_refused() -> None:
    flags = ["--storage", "somewhere", "--tracking-uri", "sqlite:///somewhere/mine.db"]
    with pytest.raises(InputError, match=r"--name mine.db is taken"):
        config_of(*flags, "--name", "mine.db")
    assert config_of(*flags, "--name", "cache-study").name == "cache-study"


def test_folder_is_absolute_below_the_storage() -> None:
    folder = config_of("--storage", "somewhere").folder
    assert folder.is_absolute()
    assert folder.parts[-2:] == ("somewhere", "x")


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "-x", "ä", "x" * 65, "a\n"])
def test_name_that_is_no_folders_name_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"--name .* letters, digits"):
        replace(config_of(), name=name)


@pytest.mark.parametrize("change", [{"seed": -1}, {"trials": 0}, {"cpus_per_trial": 0.0}, {"gpus_per_trial": -0.5}])
def test_numbers_out_of_range_are_refused(change: dict) -> None:
    with pytest.raises(InputError):
        replace(config_of(), **change)


def test_fields_missing_or_unknown_are_refused() -> None:
    values = config_of().to_dict()
    for broken in (
        {name: value for name, value in values.items() if name != "trials"},
        values | {"colour": "red"},
        values | {"data": {"speech": None}},
        values | {"train": {"epochs": 3}},
        values | {"methods": 3},
    ):
        with pytest.raises(InputError, match="configuration is not whole"):
            SearchConfig.from_dict(broken)
