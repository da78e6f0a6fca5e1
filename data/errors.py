"""The exceptions a user meets, and how the commands end on them."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import NoReturn

_FULL = (errno.ENOSPC, errno.EDQUOT)
_CLOSED = (errno.EACCES, errno.EPERM, errno.EROFS)


class InputError(Exception):
    """Something the user gave cannot be used. The message is one sentence: what is wrong, where, what to do."""


class Interrupted(BaseException):
    """The user stopped the command by a signal; what was done is saved.

    As with KeyboardInterrupt, no `except Exception` shall take it for an error.

    Args:
        signal_number: the signal that came (2 for Ctrl-C, 15 for SIGTERM).
    """

    def __init__(self, signal_number: int) -> None:
        super().__init__(f"stopped by signal {signal_number}")
        self.signal_number = signal_number


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """Lets SIGTERM, and SIGHUP unless it is ignored, raise `Interrupted`, so that what is unfinished is removed.

    For the main thread of a command.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        raise Interrupted(number)

    numbers = [signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as behind nohup
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run_command(main: Callable[[], int | None]) -> NoReturn:
    """Runs a command's main function and exits: 0 or its return value, 2 on bad input, 128 + n on signal n.

    A full disk, and a file that may not be read or written, are bad input too, wherever they are met.
    """
    try:
        code = main() or 0
        sys.stdout.flush()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        code = 2
    except Interrupted as stop:
        code = 128 + stop.signal_number
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:  # the reader of our output (head, less) has gone: not our fault, nothing to say
        # what is still in the buffer goes nowhere, else Python complains about it when it exits
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except OSError as error:
        if error.errno not in (*_FULL, *_CLOSED):
            raise
        print(f"error: {_refusal(error)}", file=sys.stderr)
        code = 2
    sys.exit(code)


def _refusal(error: OSError) -> str:
    """What the system refused, and what to do, in one sentence."""
    reason = error.strerror or os.strerror(error.errno or 0)
    if error.errno in _FULL:
        where = f"{error.filename} cannot be written" if error.filename else "a file cannot be written"
        return f"{where} ({reason}); make room there, or choose a folder on another disk, and run the command again"
    where = f"{error.filename} cannot be used" if error.filename else "a file cannot be used"
    return f"{where} ({reason}); change who may read and write it, or choose another place"
