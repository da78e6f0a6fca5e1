"""How a command ends: exit code and what is printed."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from data.errors import InputError, Interrupted, run_command, stoppable

ROOT = Path(__file__).parents[2]


def ended(main: Callable[[], int | None]) -> int:
    with pytest.raises(SystemExit) as caught:
        run_command(main)
    assert isinstance(caught.value.code, int)
    return caught.value.code


def raising(error: BaseException) -> Callable[[], int | None]:
    def main() -> int | None:
        raise error

    return main


def test_success_is_0_and_a_returned_code_is_kept():
    assert ended(lambda: None) == 0
    assert ended(lambda: 3) == 3


def test_bad_input_is_one_sentence_and_2(capsys):
    assert ended(raising(InputError("budget '0' is not positive; write 1.0GMAC"))) == 2
    captured = capsys.readouterr()
    assert captured.err == "error: budget '0' is not positive; write 1.0GMAC\n"
    assert captured.out == ""


def test_signals_are_128_and_their_number():
    assert ended(raising(Interrupted(2))) == 130
    assert ended(raising(Interrupted(15))) == 143
    assert ended(raising(KeyboardInterrupt())) == 130


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_an_exception_while_something_is_unfinished(number):
    before = signal.signal(number, signal.SIG_DFL)
    with pytest.raises(Interrupted) as caught, stoppable():
        os.kill(os.getpid(), number)
    assert caught.value.signal_number == number
    assert signal.signal(number, before) is signal.SIG_DFL


def test_a_command_behind_nohup_goes_on_without_its_terminal():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with stoppable():
        os.kill(os.getpid(), signal.SIGHUP)
    assert signal.signal(signal.SIGHUP, before) is signal.SIG_IGN


def test_other_errors_are_not_hidden():
    for error in (ZeroDivisionError(), FileNotFoundError(errno.ENOENT, "No such file"), OSError("no number")):
        with pytest.raises(type(error)):
            run_command(raising(error))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS])
@pytest.mark.parametrize("path", ["/runs/a", None])
def test_full_disk_and_closed_file_are_one_sentence_and_2(capsys, number, path):
    assert ended(raising(OSError(number, os.strerror(number), path))) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {path or 'a file'} cannot be ")
    assert os.strerror(number) in line
    assert "another" in line


@pytest.mark.parametrize("lines", [1, 20_000])
def test_reader_that_has_gone_is_no_error(lines):
    code = f"from data.errors import run_command\nrun_command(lambda: print('x\\n' * {lines}))"
    child = subprocess.Popen(
        [sys.executable, "-c", f"input()\n{code}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"},
    )
    assert child.stdout is not None
    child.stdout.close()
    _, complaint = child.communicate(b"\n", timeout=30)
    assert child.returncode == 0
    assert complaint == b""
