"""What every command-line tool shares: errors as one line, exit codes, arguments of one form."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import NoReturn


def run_main(main: Callable[[], int | None]) -> NoReturn:
    """Run a tool's ``main`` and exit; mistakes of the user end in one line, not a traceback.

    Exit codes: what ``main`` returns (``None`` is 0), 2 for an error that the user can mend,
    130 for Ctrl-C. Any other exception is a defect of the package and keeps its traceback; with
    ``RAPSAM_TRACEBACK=1`` in the environment every error does.

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
        sys.stderr.write(f'error: {" ".join(_text(error).split())}\n')
        sys.exit(2)
    sys.exit(code or 0)


def _text(error: Exception) -> str:
    """The message, for errors of the operating system without their number."""
    if isinstance(error, OSError) and error.strerror:
        return f'{error.filename}: {error.strerror}' if error.filename else error.strerror
    return str(error)
