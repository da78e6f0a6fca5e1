"""Where the time of a search goes: how busy its slots are with training, and what Ray and MLflow cost.

    python benchmarks/overhead.py [runs/NAME] [--json]

Without a folder it runs the default search first. Baseline: the wall time of that very search.

- `busy`: seconds of training over slots x seconds of the students' phase; `busy_of_all`: x those of the whole command.
- `overhead`: share of the command in which Ray was started or stopped, or a slot waited between two students, or the
  tracking store was waited for at the end.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import Report, parser, show
from data.errors import InputError, run_command
from search.timing import summary

RUN = Path(__file__).parents[1] / "search" / "run.py"
WAITS = ("Ray", "tracking", "end of Ray")
"""Phases of a session that are neither data nor learning nor scores."""


def main() -> None:
    """The command line."""
    flags = parser(__doc__, repetitions=1)
    flags.add_argument("folder", type=Path, nargs="?", help="of a finished search (default: the default search is run)")
    arguments = flags.parse_args()
    if arguments.folder is not None:
        report(arguments.folder, arguments.json)
        return
    with tempfile.TemporaryDirectory() as storage:
        command = [sys.executable, str(RUN), "--budget", "1.0GMAC", "--storage", storage, "--name", "default"]
        if subprocess.run(command, check=False, stdout=sys.stderr).returncode != 0:
            raise InputError("the default search did not end well; see above")
        report(Path(storage) / "default", arguments.json)


def report(folder: Path, as_json: bool) -> None:
    """Prints what one search's time went to."""
    found = summary(folder)
    phases, wall = found["phases"], found["wall"]
    waited = sum(phases.get(name, 0.0) for name in WAITS) + found["between"] * phases.get("students", 0.0)
    ratios = {
        "busy": found["training_of_phase"],
        "busy_of_all": found["training"],
        "scoring": found["scoring_of_phase"],
        "overhead": waited / wall,
    }
    baselines = {
        "busy": "slots x the students' phase",
        "busy_of_all": "slots x the whole command",
        "scoring": "slots x the students' phase",
        "overhead": "the whole command",
    }
    settings = {"students": found["students"], "slots": found["slots"]}
    seconds = {name: [value] for name, value in phases.items()} | {"whole command": [wall]}
    show(Report("overhead", ratios, baselines, seconds, settings), as_json=as_json)


if __name__ == "__main__":
    run_command(main)
