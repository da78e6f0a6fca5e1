"""README tells of this tree and of these commands, not of those of last month."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

import analysis.choose
import model.enhance
import model.macs
import model.sturdiness
import model.teacher
from data.errors import InputError
from search.dimensions import SETTINGS
from search.flags import read_flags, search_config
from search.space_file import KEYS, read_space_file
from search.tracking import Tracker

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
ROOMS = ("data", "model", "search", "analysis", "benchmarks")


@pytest.mark.parametrize("room", ROOMS)
def test_the_map_names_every_file_of_a_room_and_no_other(room: str) -> None:
    section = TEXT.split(f"**`{room}/`**", 1)[1].split("**`", 1)[0]
    named = re.findall(r"^\| `(\w+\.py)` \| .+ \|$", section, re.MULTILINE)
    files = {path.name for path in (ROOT / room).glob("*.py")} - {"__init__.py"}
    assert sorted(named) == sorted(files)


BLOCKS = re.findall(r"^```\w*\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
INLINE = re.findall(r"`(python [^`]+)`", re.sub(r"^```.*?^```$", "", TEXT, flags=re.MULTILINE | re.DOTALL))

PARSERS: dict[str, Callable[[list[str]], object]] = {
    "python search/run.py": read_flags,
    "python analysis/choose.py": analysis.choose.read_flags,
    "python -m model.teacher": lambda words: model.teacher._parser().parse_args(words),
    "python -m model.enhance": model.enhance.read_flags,
    "python -m model.sturdiness": model.sturdiness.read_flags,
    "python -m model.macs": lambda words: model.macs._parser().parse_args(words),
}


def commands() -> list[str]:
    """All Python commands that README shows, in its code blocks and in its sentences."""
    lines = "".join(BLOCKS).replace("\\\n", " ").splitlines()
    parts = [part.strip() for line in [*lines, *INLINE] for part in line.split("&&")]
    return [part for part in parts if part.startswith("python ") and part != "python -m model.teacher"]


@pytest.mark.parametrize("program", PARSERS)
def test_readme_shows_each_program(program: str) -> None:
    assert any(command.startswith(program) for command in commands())


@pytest.mark.parametrize("command", commands())
def test_a_command_that_readme_shows_has_flags_that_exist(command: str) -> None:
    words = shlex.split(command)
    parse = next((parse for program, parse in PARSERS.items() if command.startswith(program)), None)
    if parse is None:  # a script of its own
        assert (ROOT / words[1]).is_file()
        return
    try:
        parse(words[3 if words[1] == "-m" else 2 :])
    except InputError as error:
        pytest.fail(f"{command}: {error}")


def test_the_space_file_that_readme_shows_can_be_read_and_searched_and_names_every_key(tmp_path: Path) -> None:
    (shown,) = re.findall(r"^```yaml\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    path = tmp_path / "space.yaml"
    path.write_text(shown)
    config = search_config(read_flags(["--budget", "1.0GMAC", "--space", str(path)]))
    assert config.space(5).count() > 1000
    assert set(read_space_file(path).places) == ({*KEYS, *SETTINGS} - {"sizes"})
    assert all(f"`{key}`" in TEXT for key in ("sizes", *SETTINGS))


def test_the_mlflow_command_is_the_one_that_a_search_prints(tmp_path: Path) -> None:
    page = Tracker("sqlite:///runs/mlflow.db", "students", tmp_path).page()
    assert page.replace(str(Path("runs").absolute()), "runs") in "".join(BLOCKS).splitlines()


def test_torch_without_cuda_is_of_the_version_that_the_project_asks_for() -> None:
    (version,) = re.findall(r"pip install torch==(\S+) --index-url", "".join(BLOCKS))
    assert f'"torch=={version}"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
