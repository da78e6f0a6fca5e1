"""A space file (`--space`): what a search tries, as YAML or JSON, read with its line numbers and checked.

It is data: no tag of YAML makes an object out of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from data.errors import InputError
from model.distill import METHODS
from model.schedule import SCHEDULES
from search.dimensions import SETTINGS, Dimension
from search.space import INITS, parse_sizes

MOST_UNITS = 4096
"""Hidden units of a layer that a file may ask for; the teacher has 512."""


@dataclass(frozen=True)
class SpaceFile:
    """What a file says; None where it says nothing.

    Args:
        methods, schedules, inits: the keys `kd_method`, `alpha_schedule` and `init`.
        sizes: as text, such as `64/16` or `E`.
        f_hidden, t_hidden: hidden units of the grid.
        bi_freq: of the sizes of the grid.
        repeats: trainings of each configuration.
        dimensions: all else that is varied.
        places: where each key stands, for messages.
    """

    methods: tuple[str, ...] | None = None
    schedules: tuple[str, ...] | None = None
    inits: tuple[str, ...] | None = None
    sizes: tuple[str, ...] | None = None
    f_hidden: tuple[int, ...] | None = None
    t_hidden: tuple[int, ...] | None = None
    bi_freq: bool | None = None
    repeats: int | None = None
    dimensions: tuple[Dimension, ...] = ()
    places: Mapping[str, str] = field(default_factory=dict)


def read_space_file(path: Path) -> SpaceFile:
    """Reads and checks a space file.

    Raises:
        InputError: it cannot be read, or a key or value cannot be used; says in which line.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--space {path} cannot be read ({error}); give a text file of YAML or JSON") from None
    values, places = _keys(path, text)
    said: dict[str, Any] = {}
    dimensions = []
    for key, value in values.items():
        try:
            if key in SETTINGS:
                dimensions.append(Dimension(key, _options(key, value)))
            else:
                name, read = KEYS[key]
                said[name] = read(value)
        except (InputError, ValueError) as error:
            reason = str(error) if isinstance(error, InputError) else f"{key} {error}"
            raise InputError(f"{places[key]}: {reason}") from None
    for key in ("f_hidden", "t_hidden", "bi_freq"):
        if key in values and "sizes" in values:
            raise InputError(
                f"{places[key]}: {key} is for a grid of sizes, but {places['sizes']} names the sizes themselves; leave "
                "one of the two out"
            )
    return SpaceFile(**said, dimensions=tuple(dimensions), places=places)


def _keys(path: Path, text: str) -> tuple[dict[str, Any], dict[str, str]]:
    """The file's keys with their values, and with where they stand."""
    # JSON is YAML but for tabs, which can only be between its words
    text = text.replace("\t", " ") if path.suffix.lower() == ".json" else text
    values: dict[str, Any] = {}
    places: dict[str, str] = {}
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if not isinstance(node, yaml.MappingNode) or not node.value:
            raise InputError(f"{path} holds no keys with values; write lines such as `kd_method: [none, linear]`")
        for key_node, value_node in node.value:
            key = str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else "?"
            place = f"{path}, line {key_node.start_mark.line + 1}"
            if key not in KEYS and key not in SETTINGS:
                every = (*KEYS, *SETTINGS)
                near = get_close_matches(key, every, 1)
                did = f"did you mean {near[0]}?" if near else f"choose from {', '.join(every)}"
                raise InputError(f"{place}: the key {key!r} is not known; {did}")
            if key in values:
                raise InputError(f"{place}: {key} stands here a second time ({places[key]}); leave one out")
            values[key], places[key] = loader.construct_object(value_node, deep=True), place
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}, line {mark.line + 1}" if mark is not None else str(path)
        problem = getattr(error, "problem", None) or "it cannot be read"
        raise InputError(f"{where}: this is neither YAML nor JSON ({problem}); mend the file") from None
    return values, places


def _listed(value: Any) -> list[Any]:
    listed = value if isinstance(value, list) else [value]
    if not listed:
        raise ValueError("is an empty list; give at least one option, or leave the key out")
    return listed


def _options(key: str, value: Any) -> tuple[Any, ...]:
    """Options of a dimension. YAML takes 1e-3, without a point, for a word."""
    if isinstance(value, dict):
        raise ValueError("must be a list of options, such as [a, b]")
    listed = _listed(value)
    if SETTINGS[key].words is None:
        listed = [_as_number(one) if isinstance(one, str) else one for one in listed]
    elif not all(isinstance(one, str) for one in listed):
        raise ValueError(f"must be a list of words, not {value!r}")
    return tuple(listed)


def _as_number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _words(known: Sequence[str]) -> Callable[[Any], tuple[str, ...]]:
    def read(value: Any) -> tuple[str, ...]:
        words = _listed(value)
        for word in words:
            if word not in known:
                near = get_close_matches(str(word), known, 1)
                did = f"; did you mean {near[0]}?" if near else ""
                raise ValueError(f"cannot be {word!r}; choose from {', '.join(known)}{did}")
        if len(set(words)) < len(words):
            raise ValueError(f"names one twice ({', '.join(words)}); name each once")
        return tuple(words)

    return read


def _sizes(value: Any) -> tuple[str, ...]:
    texts = _listed(value)
    for text in texts:
        if not isinstance(text, str):
            raise ValueError(f"cannot have {text!r}; write F/T such as 64/16, or a row of Table 1 such as E")
        parse_sizes(text)
    return tuple(part.strip() for text in texts for part in text.split(",") if part.strip())


def _units(value: Any) -> tuple[int, ...]:
    if isinstance(value, dict):
        if set(value) - {"step"} != {"from", "to"}:
            raise ValueError(f"must have the keys from, to and step, not {', '.join(map(str, value)) or 'none'}")
        first, last, step = _unit(value["from"]), _unit(value["to"]), _unit(value.get("step", 1))
        if first > last:
            raise ValueError(f"goes from {first} to {last}: that is nothing; exchange the two")
        return tuple(range(first, last + 1, step))
    return tuple(sorted({_unit(one) for one in _listed(value)}))


def _unit(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST_UNITS:
        raise ValueError(f"has {value!r}, but hidden units are whole numbers from 1 to {MOST_UNITS}")
    return value


def _bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"must be true or false, not {value!r}")
    return value


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"must be a whole number from 1 on, not {value!r}")
    return value


KEYS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "f_hidden": ("f_hidden", _units),
    "t_hidden": ("t_hidden", _units),
    "bi_freq": ("bi_freq", _bool),
    "sizes": ("sizes", _sizes),
    "kd_method": ("methods", _words(tuple(METHODS))),
    "alpha_schedule": ("schedules", _words(tuple(SCHEDULES))),
    "init": ("inits", _words(INITS)),
    "repeats": ("repeats", _count),
}
"""A file's keys beside `search.dimensions.SETTINGS`: the field of `SpaceFile` each fills, and its reader."""
