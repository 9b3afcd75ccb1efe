"""Several processes of one test, forked so that none has to import anything again."""

from __future__ import annotations

import functools
import io
import multiprocessing
import os
import socket
import subprocess
import sys
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import torch

_FRESH = 'RAPSAM_FRESH_INTERPRETER'


def in_fresh_interpreter(test: Callable[[], None]) -> Callable[[], None]:
    """Run a test without parameters in an interpreter of its own.

    A process whose autograd has started threads cannot be forked for training any more, and which
    tests came before is not a test's to say.

    Args:
        test: A function of a test module.
    """

    @functools.wraps(test)
    def run() -> None:
        if os.environ.get(_FRESH):
            test()
            return
        name = f'{test.__code__.co_filename}::{test.__name__}'
        command = [sys.executable, '-m', 'pytest', '-q', '-p', 'no:cacheprovider', name]
        env = {**os.environ, _FRESH: '1'}
        done = subprocess.run(
            command, env=env, check=False, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]

    return run


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return int(probe.getsockname()[1])


def in_processes(
    work: Callable[[int], Any], num_processes: int = 2, timeout: float = 120.0
) -> list[Any]:
    """Call a function in several processes that see torchrun's environment variables.

    Args:
        work: Gets the rank; what it returns must be storable by ``torch.save``.
        num_processes: How many.
        timeout: Seconds until a process counts as hanging.

    Returns:
        What the calls returned, in the order of the ranks.

    Raises:
        RuntimeError: If a process hangs or fails, with its traceback.
    """
    context, port = multiprocessing.get_context('fork'), free_port()
    pairs = [context.Pipe(duplex=False) for _ in range(num_processes)]
    started = [
        context.Process(target=_child, args=(work, rank, num_processes, port, pairs[rank][1]))
        for rank in range(num_processes)
    ]
    for process in started:
        process.start()
    try:
        return [_receive(pairs[rank][0], rank, timeout) for rank in range(num_processes)]
    finally:
        for process in started:
            process.kill()
            process.join()


def _child(
    work: Callable[[int], Any], rank: int, num_processes: int, port: int, answer: Connection
) -> None:
    os.environ.update(
        RANK=str(rank),
        LOCAL_RANK=str(rank),
        WORLD_SIZE=str(num_processes),
        MASTER_ADDR='127.0.0.1',
        MASTER_PORT=str(port),
    )
    torch.set_num_threads(1)
    content = io.BytesIO()
    try:
        torch.save({'result': work(rank)}, content)
    except BaseException:  # whatever it is, the parent must hear of it
        torch.save({'error': traceback.format_exc()}, content)
    answer.send_bytes(content.getvalue())


def _receive(answers: Connection, rank: int, timeout: float) -> Any:
    if not answers.poll(timeout):
        raise RuntimeError(f'process {rank} gave no answer within {timeout:g} s')
    try:
        content = torch.load(io.BytesIO(answers.recv_bytes()), weights_only=False)
    except EOFError:
        raise RuntimeError(f'process {rank} died without an answer') from None
    if 'error' in content:
        raise RuntimeError(f'process {rank} failed:\n{content["error"]}')
    return content['result']
