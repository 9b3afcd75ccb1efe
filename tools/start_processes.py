"""Start a tool in several processes as torchrun does, and say in one line which one died.

Example:
    python tools/start_processes.py --nproc-per-node=2 tools/train.py CONFIG --launcher pytorch
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from seg.utils.cli import run_main

if TYPE_CHECKING:
    from torch.distributed.elastic.multiprocessing.errors import ProcessFailure

_TOLD = 2  # exit code of a tool that has told its mistake itself


def main() -> int:
    """Run torchrun with the arguments of the command line."""
    from torch.distributed import run
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    try:
        run.run(run.parse_args(sys.argv[1:]))
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if failure.exitcode != _TOLD:
            sys.stderr.write(f'error: {describe(rank, failure)}\n')
        return failure.exitcode if failure.exitcode > 0 else 1
    return 0


def describe(rank: int, failure: ProcessFailure) -> str:
    """Which process was the first to end, and how."""
    if failure.exitcode < 0:
        how = f'was killed by {failure.signal_name()}'
        why = 'often because memory ran out; go on with --resume'
    else:
        how, why = f'failed with exit code {failure.exitcode}', 'its traceback is above'
    return f'process {rank} {how}, so the others were stopped; {why}'


if __name__ == '__main__':
    run_main(main)
