"""`python search/run.py --budget 1.0GMAC`: searches students of an FT-JNF teacher on the front of PESQ against MACs."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

STARTED = time.time()  # before the imports below, which take seconds: the time budget counts from the command's start

# run as a script, this folder comes first on the path: its modules must not stand for top-level ones
if __name__ == "__main__":
    sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != Path(__file__).resolve().parent]

from rich.console import Console

from data.array import Array
from data.errors import InputError, run_command
from data.files import cache_root, plain
from model.allocator import keep_freed_memory
from model.macs import Budget
from search.config import SearchConfig
from search.flags import read_flags, search_config


def main(argv: Sequence[str] | None = None) -> int:
    """The command. Returns 0, or 128 + n if signal n stopped it; bad input raises InputError."""
    flags = read_flags(sys.argv[1:] if argv is None else argv)
    console = _console(stderr=bool(flags.json))
    config = search_config(flags)
    keep_freed_memory()
    console.print(Budget.parse(config.budget).describe().replace("budget", "Budget:", 1))
    space = config.space(Array.parse(config.data.array).microphones)
    _check_folder(config, resumed=flags.resume is not None)

    cache = Path(config.storage) / "cache" if config.address else cache_root()
    resumed = flags.resume is not None
    if flags.dry_run:
        from search.dry_run import dry_run
        from search.groundwork import Groundwork

        shown = dry_run(Groundwork(config, space, cache, console, STARTED))
        if flags.json:
            print(json.dumps(plain(shown), indent=2))
        return 0
    from search.session import Session  # Ray and MLflow are loaded only once the flags make sense

    front, code = Session(config, space, cache, console, STARTED, resumed=resumed).run()
    if flags.json:
        print(json.dumps(plain(front), indent=2))
    return code


def _console(*, stderr: bool) -> Console:
    console = Console(stderr=stderr, highlight=False, markup=False, soft_wrap=True)  # brackets occur in paths
    if console.is_terminal:
        return console
    return Console(stderr=stderr, highlight=False, markup=False, soft_wrap=True, width=160)  # a log has no edge


def _check_folder(config: SearchConfig, *, resumed: bool) -> None:
    storage, folder = Path(config.storage), config.folder
    for path in (storage, folder):
        if path.exists() and not path.is_dir():
            raise InputError(
                f"{path} is a file where the run folder should be; move it or choose another --storage or --name"
            )
    if not resumed and folder.exists():
        raise InputError(
            f"a search named {config.name} exists at {folder}; go on with it by --resume {config.name}, "
            "or choose another --name"
        )
    there = next(path for path in (storage, *storage.parents) if path.exists())  # the rest is made once it is needed
    if not (there.is_dir() and os.access(there, os.W_OK)):
        raise InputError(f"{storage} cannot be written; choose another --storage")


if __name__ == "__main__":
    run_command(main)
