"""What every command-line tool shares: errors as one line, exit codes, arguments of one form."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable
from typing import NoReturn

_TRACEBACK = 'Traceback (most recent call last):\n'
# Seconds in which a launcher ends the other processes of a machine when the first one fails.
_PATIENCE = 10.0
# How torch words an error of a data loader's worker: see torch._utils.ExceptionWrapper.
_OF_A_WORKER = re.compile(r'Caught \w+ in [^\n]+\.\nOriginal ')
_TYPE_OR_NUMBER = re.compile(r'[\w.]+: (\[Errno \d+\] )?')


def run_main(main: Callable[[], int | None]) -> NoReturn:
    """Run a tool's ``main`` and exit; mistakes of the user end in one line, not a traceback.

    Exit codes: what ``main`` returns (``None`` is 0), 2 for an error that the user can mend,
    130 for Ctrl-C. Any other exception is a defect of the package and keeps its traceback; with
    ``RAPSAM_TRACEBACK=1`` in the environment every error does. A mistake that all processes of a
    machine make is told by the first of them.

    Args:
        main: The tool's entry point.
    """
    try:
        code = main()
    except KeyboardInterrupt:
        sys.stderr.write('interrupted\n')
        sys.exit(130)
    except (ValueError, TypeError, OSError) as error:
        if os.environ.get('RAPSAM_TRACEBACK') == '1':
            raise
        _leave_it_to_the_first()
        sys.stderr.write(f'error: {" ".join(_text(error).split())}\n')
        sys.exit(2)
    sys.exit(code or 0)


def _leave_it_to_the_first() -> None:
    """Give the first process of the machine time to tell the same mistake.

    When it ends, the launcher ends this one. Who is still there has made a mistake of its own.
    """
    if os.environ.get('LOCAL_RANK', '0') != '0':
        time.sleep(_PATIENCE)


def _text(error: Exception) -> str:
    """The message, for errors of the operating system without their number."""
    if isinstance(error, OSError) and error.strerror:
        return f'{error.filename}: {error.strerror}' if error.filename else error.strerror
    text = str(error)
    return _raised_in_worker(text) if _OF_A_WORKER.match(text) else text


def _raised_in_worker(text: str) -> str:
    """The message of an error in a worker, without its traceback and type."""
    lines = text.rpartition(_TRACEBACK)[2].splitlines()
    frames = next((i for i, line in enumerate(lines) if line[:1].strip()), 0)
    return _TYPE_OR_NUMBER.sub('', '\n'.join(lines[frames:]), count=1)
