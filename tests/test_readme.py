"""README tells of this tree and of these commands, not of those of last month."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from data.errors import InputError
from search.flags import read_flags

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
ROOMS = ("data", "model", "search", "analysis", "benchmarks")


@pytest.mark.parametrize("room", ROOMS)
def test_the_map_names_every_file_of_a_room_and_no_other(room: str) -> None:
    section = TEXT.split(f"**`{room}/`**", 1)[1].split("**`", 1)[0]
    named = re.findall(r"^\| `(\w+\.py)` \| .+ \|$", section, re.MULTILINE)
    files = {path.name for path in (ROOT / room).glob("*.py")} - {"__init__.py"}
    assert sorted(named) == sorted(files)


def commands(program: str) -> list[str]:
    """The commands of README's code blocks that begin with `program`, without what stands for the reader's own."""
    blocks = re.findall(r"^```\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    parts = [part.strip() for line in lines for part in line.split("&&")]
    return [part.removeprefix(program) for part in parts if part.startswith(program) and "..." not in part]


def test_readme_shows_searches() -> None:
    assert len(commands("python search/run.py")) >= 3


@pytest.mark.parametrize("command", commands("python search/run.py"))
def test_a_search_that_readme_shows_has_flags_that_exist(command: str) -> None:
    try:
        read_flags(shlex.split(command))
    except InputError as error:
        pytest.fail(f"{command}: {error}")
