"""Noticing that a process of a distributed training died, and saying which."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from typing import Any

from torch.distributed import distributed_c10d

_LOST = 'seg/lost'
_DONE = 'done'
_INTERVAL = 1.0
_QUICK_LIMIT = 4.0


class Heartbeat:
    """A thread that shows that its process is alive and watches the next one.

    Every process beats through the store that the process group was started with. Who finds the
    next one silent for too long tells all others. A process whose main thread then hangs in a
    collective, as NCCL's do, is ended.

    Args:
        rank: Rank of this process.
        world_size: Number of processes.
        limit: Seconds without a beat after which a process counts as lost.
        store: What the processes share; by default that of the process group.
    """

    def __init__(self, rank: int, world_size: int, limit: float, store: Any = None) -> None:
        self.rank = rank
        self.world_size = world_size
        self.limit = limit
        shared: Any = distributed_c10d._get_default_store() if store is None else store
        # A connection of its own, so that the main thread's waiting does not stop the beats.
        self._store = shared.clone() if store is None else shared
        self._watched = (rank + 1) % world_size
        self._lost = ''
        self._has_failed = False
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name='heartbeat')

    def start(self) -> None:
        """Begin to beat."""
        self._thread.start()

    def stop(self) -> None:
        """End in order; others will not miss this process."""
        self._stopped.set()
        self._thread.join()
        try:
            self._store.set(self._key(self.rank), _DONE)
        except RuntimeError:
            return  # the process that holds the store has ended already

    def find_lost(self) -> str:
        """What to say about a lost process after a collective failed; empty if none is lost."""
        self._has_failed = True
        deadline = time.monotonic() + 3 * _QUICK_LIMIT
        while not self._lost and self._thread.is_alive() and time.monotonic() < deadline:
            time.sleep(_INTERVAL / 4)
        return self._message(self._lost) if self._lost else ''

    def _message(self, lost: str) -> str:
        return (
            f'process {lost} of {self.world_size} is lost: it died or hangs; look at its end of '
            'the log and start again with --resume'
        )

    @staticmethod
    def _key(rank: int) -> str:
        return f'seg/beat/{rank}'

    def _run(self) -> None:
        seen, since, count = b'', time.monotonic(), 0
        while not self._stopped.wait(_INTERVAL):
            count += 1
            try:
                beat = self._exchange(f'{count} {socket.gethostname()}')
            except RuntimeError:
                self._lost = '0 (which held the processes together)'
                return
            if self._lost:
                self._end_if_hanging()
                return
            if beat != seen or beat == _DONE.encode():
                seen, since = beat, time.monotonic()
            silent = time.monotonic() - since
            if silent > (min(_QUICK_LIMIT, self.limit) if self._has_failed else self.limit):
                host = seen.decode().partition(' ')[2] or 'unknown host'
                self._store.set(_LOST, f'{self._watched} ({host})')

    def _exchange(self, beat: str) -> bytes:
        """Show this process's beat, learn of losses, and read the beat of the next one."""
        self._store.set(self._key(self.rank), beat)
        if self._store.check([_LOST]):
            self._lost = self._store.get(_LOST).decode()
        watched = self._key(self._watched)
        return self._store.get(watched) if self._store.check([watched]) else b''

    def _end_if_hanging(self) -> None:
        """Leave the main thread a moment to fail on its own and tell; then end the process."""
        if not self._stopped.wait(2 * _QUICK_LIMIT) and not self._has_failed:
            sys.stderr.write(f'error: {self._message(self._lost)}\n')
            sys.stderr.flush()
            os._exit(2)
