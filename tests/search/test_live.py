from __future__ import annotations

import io
import time

import pytest
from rich.console import Console

from model.ftjnf import Size
from search.live import SHOWN, LiveTable
from search.space import Choice

CHOICE = Choice.of(Size(80, 32), "linear", "two-stage", "slice")
EPOCH = {"epoch": 4, "stage": "soft", "loss_train": 0.7}
DONE = {"epoch": 20, "pesq": 1.6, "state": "COMPLETE", "final": True, "stopped": ""}


def dumb() -> Console:
    return Console(file=io.StringIO(), force_terminal=False, width=160, markup=False)


def written(console: Console) -> list[str]:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def rendered(table: LiveTable) -> str:
    console = dumb()
    console.print(table.render())
    return "\n".join(written(console))


def test_dumb_console_gets_plain_lines() -> None:
    console = dumb()
    table = LiveTable(console, 10, 4, None)
    table.start()
    table.started(3, CHOICE, 2)
    table.reported(3, EPOCH)  # an epoch without a score is no news
    table.reported(3, EPOCH | {"epoch": 5, "pesq": 1.4})
    table.reported(3, DONE)
    table.stop()
    started, scored, done = written(console)
    for part in ("trial   3", "80/32", "1.110 GMAC", "linear/two-stage/slice", "started"):
        assert part in started
    assert "soft 5/20  PESQ 1.400" in scored
    assert "PESQ 1.600  done" in done
    assert "1 of at most 4 students done" in done
    assert "\x1b" not in "".join(written(console))


def test_failure_is_told_with_its_reason_as_it_is() -> None:
    console = dumb()
    table = LiveTable(console, 10, 4, None)
    table.started(3, CHOICE, 2)
    table.failed(3, "no such file [/data/x]")
    assert "failed: no such file [/data/x]" in written(console)[-1]


def test_student_of_a_lost_machine_is_said_to_go_on() -> None:
    console = dumb()
    table = LiveTable(console, 10, 4, None)
    table.started(3, CHOICE, 2)
    table.lost(3)
    table.lost(4)  # never started here
    assert "goes on from its last checkpoint" in written(console)[-1]
    assert "0 of at most 4 students done" in written(console)[-1]


@pytest.mark.parametrize(
    ("final", "shown"),
    [
        (DONE, "done"),
        (DONE | {"stopped": "time"}, "done (time)"),
        (DONE | {"state": "PRUNED", "stopped": "time"}, "stopped (time)"),
        (DONE | {"state": "FAIL"}, "failed"),
    ],
)
def test_table_shows_how_each_student_stands(final: dict, shown: str) -> None:
    table = LiveTable(dumb(), 10, 4, None)
    table.started(0, CHOICE, 2)
    table.started(1, Choice.of(Size(8, 4), "none", "none", "random"), 1)
    table.reported(0, EPOCH | {"pesq": 1.4})
    text = rendered(table)
    first, second = (next(line for line in text.splitlines() if size in line) for size in ("80/32", "8/4"))
    for part in ("1.110", "linear", "two-stage", "slice", "soft", "4/20", "1.400", "training"):
        assert part in first
    for part in ("0.024", "none", "random", "0/10", "starting"):
        assert part in second
    table.reported(0, final)
    assert shown in rendered(table)
    assert "1 of at most 4 students done" in rendered(table)


def test_student_that_waits_is_shown_as_such_and_is_not_done() -> None:
    console = dumb()
    table = LiveTable(console, 10, 4, None)
    table.started(0, CHOICE, 2)
    table.reported(0, EPOCH | {"pesq": 1.4})
    table.paused(0)
    assert "PESQ 1.400  paused; 0 of at most 4 students done" in written(console)[-1]
    table.paused(9)  # of an earlier session


def test_of_many_finished_students_the_latest_are_shown() -> None:
    table = LiveTable(dumb(), 10, 100, None)
    for number in range(SHOWN + 5):
        table.started(number, CHOICE, 2)
        table.reported(number, DONE)
    table.started(90, CHOICE, 2)
    lines = [line.split()[0] for line in rendered(table).splitlines() if "80/32" in line]
    assert lines == [str(number) for number in [*range(5, SHOWN + 5), 90]]


def test_time_left_is_that_of_the_budget_or_an_estimate() -> None:
    table = LiveTable(dumb(), 10, 4, time.time() + 100)
    table.started(0, CHOICE, 2)
    assert "1 min 40 s of the time budget left" in table.left()
    assert "0 s of the time budget left" in LiveTable(dumb(), 10, 4, time.time() - 5).left()

    table = LiveTable(dumb(), 10, 4, None)
    assert table.left() == "0 of at most 4 students done"
    table.started(0, CHOICE, 2)
    table.rows[0].since -= 100  # a quarter of the first of four students in 100 s
    table.reported(0, EPOCH | {"epoch": 5})
    assert "about 25 min 00 s left" in table.left()


def test_reports_of_students_that_were_never_started_are_passed_over() -> None:
    table = LiveTable(dumb(), 10, 4, None)
    table.reported(7, DONE)
    table.failed(7, "gone")
    assert not table.rows


def test_terminal_gets_a_table_that_goes_away() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=120, legacy_windows=False)
    table = LiveTable(console, 10, 4, None)
    table.start()
    table.started(3, CHOICE, 2)
    table.stop()
    assert "80/32" in "\n".join(written(console))  # drawn once more as it stops
    assert "started;" not in "\n".join(written(console))
