"""What every command-line tool shares: errors as one line, exit codes, arguments of one form."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NoReturn


def run_main(main: Callable[[], int | None]) -> NoReturn:
    """Run a tool's ``main`` and exit; mistakes of the user end in one line, not a traceback.

    Exit codes: what ``main`` returns (``None`` is 0), 2 for an error that the user can mend,
    130 for Ctrl-C. Any other exception is a defect of the package and keeps its traceback.

    Args:
        main: The tool's entry point.
    """
    try:
        code = main()
    except KeyboardInterrupt:
        sys.stderr.write('interrupted\n')
        sys.exit(130)
    except (ValueError, TypeError, OSError) as error:
        sys.stderr.write(f'error: {" ".join(str(error).split())}\n')
        sys.exit(2)
    sys.exit(code or 0)
