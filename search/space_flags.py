"""What flags, space file and preset together say of what is tried."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from data.errors import InputError
from search.dimensions import SETTINGS, Dimension
from search.space_file import SpaceFile

SAME = {
    "sizes": ("sizes", "f_hidden", "t_hidden", "bi_freq"), "methods": ("kd_method",), "schedules": ("alpha_schedule",),
    "init": ("init",), "repeats": ("repeats",), "alpha": ("alpha",), "lr": ("lr",), "gram": ("gram_form",),
    "gram_normalise": ("gram_normalise",),
}  # fmt: skip
"""Flags, and the keys of a space file that speak of the same."""


def check_said_once(flags: argparse.Namespace, file: SpaceFile) -> None:
    """Whether flags and space file speak of different things: neither is silently the stronger.

    Raises:
        InputError: both say the same, or different things of the same.
    """
    for flag, keys in SAME.items():
        for key in keys:
            if getattr(flags, flag) is not None and key in file.places:
                raise InputError(
                    f"--{flag.replace('_', '-')} {getattr(flags, flag)} and {file.places[key]} ({key}) say the same "
                    "twice; leave one of the two out"
                )


def dimensions_of(
    flags: argparse.Namespace,
    file: SpaceFile,
    preset: Sequence[Dimension],
    methods: Sequence[str],
    schedules: Sequence[str],
) -> tuple[Dimension, ...]:
    """What else is varied: the file's, and the preset's where neither a flag nor the file speaks of the same.

    Raises:
        InputError: one of the file's that no training of this search would heed.
    """

    def heeded(one: Dimension) -> bool:
        return any(one.heeded(method, schedule) for method in methods for schedule in schedules or ("none",))

    for one in file.dimensions:
        if not heeded(one):
            raise InputError(
                f"{file.places[one.name]}: {one.name} needs {SETTINGS[one.name].needs}, which this search does not "
                f"try; add what it needs, or leave {one.name} out"
            )
    flag_of = {key: flag for flag, keys in SAME.items() for key in keys}
    spoken_of = {one.name for one in file.dimensions}
    kept = [
        one
        for one in preset
        if one.name not in spoken_of and getattr(flags, flag_of.get(one.name, ""), None) is None and heeded(one)
    ]
    return (*file.dimensions, *kept)
