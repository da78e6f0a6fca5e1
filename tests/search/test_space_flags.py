"""Flags, space file and preset together: each says its own, and none overrules another in silence."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.errors import InputError
from search.config import SearchConfig
from search.flags import read_flags, search_config

FOLDERS = ["--speech", "a", "--noise", "b", "--rirs", "c"]


def config_of(*flags: str) -> SearchConfig:
    return search_config(read_flags(["--budget", "1.0GMAC", *flags]))


def space_file(folder: Path, text: str) -> str:
    path = folder / "space.yaml"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        ("kd_method: [none]", ["--methods", "none"]),
        ("alpha_schedule: [cosine]", ["--schedules", "linear"]),
        ("init: [random]", ["--init", "slice"]),
        ("sizes: [E]", ["--sizes", "E"]),
        ("t_hidden: [8]", ["--sizes", "64/16"]),
        ("lr: [1e-3]", ["--lr", "1e-3"]),
        ("gram_form: [exact]", ["--gram", "frame"]),
        ("gram_normalise: [cosine]", ["--gram-normalise", "plain"]),
        ("repeats: 2", ["--repeats", "3"]),
        ("alpha: [0.3]", ["--alpha", "0.3", "--schedules", "constant"]),
    ],
)
def test_what_file_and_flag_both_say_is_refused(tmp_path: Path, text: str, flags: list[str]) -> None:
    with pytest.raises(InputError, match=rf"{flags[0]} .* and .*space\.yaml, line 1 .* leave one of the two out"):
        config_of("--space", space_file(tmp_path, text), *flags)


@pytest.mark.parametrize(
    ("text", "needs"),
    [
        ("alpha: [0.3]", "the schedule constant"),
        ("ramp: [0.3]\nalpha_schedule: [two-stage]", "the schedule linear or cosine"),
        ("soft_share: [0.3]\nkd_method: none", "the schedule two-stage and a KD method"),
        ("gram_form: [exact]\nkd_method: [none, linear]", "f-lstm, t-lstm, multi"),
    ],
)
def test_key_that_nothing_heeds_is_refused(tmp_path: Path, text: str, needs: str) -> None:
    with pytest.raises(InputError, match=rf"space\.yaml, line 1: {text.split(':')[0]} needs .*{needs}.*leave"):
        config_of("--space", space_file(tmp_path, text))


def test_dimensions_of_a_preset_give_way_to_flags_and_file(tmp_path: Path) -> None:
    def dimensions(*flags: str) -> dict[str, tuple]:
        return {one.name: one.options for one in config_of(*FOLDERS, "--preset", "full", *flags).dimensions}

    assert dimensions() == {"alpha": (0.3, 0.5, 0.7), "ramp": (0.25, 0.5)}
    assert dimensions("--alpha", "0.4") == {"ramp": (0.25, 0.5)}
    assert dimensions("--schedules", "two-stage") == {}
    assert dimensions("--space", space_file(tmp_path, "ramp: [0.1]")) == {"ramp": (0.1,), "alpha": (0.3, 0.5, 0.7)}
