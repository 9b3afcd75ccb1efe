"""What is said of the machine beside figures."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from seg.benchmark.machine import OtherPrograms

BUSY = 'import time\nend = time.process_time() + 0.5\nwhile time.process_time() < end: pass\n'


@pytest.mark.skipif(not Path('/proc/stat').exists(), reason='only Linux tells')
def test_programs_beside_are_counted():
    others = OtherPrograms()
    began = time.perf_counter()
    command = [sys.executable, '-c', f'{BUSY}print("done", flush=True)\ninput()']
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as beside:
        assert beside.stdout.readline() == 'done\n'
        seconds = others.cores() * (time.perf_counter() - began)
        beside.communicate('\n')

    assert seconds > 0.4


def test_a_system_that_does_not_tell(monkeypatch):
    monkeypatch.setattr(Path, 'exists', lambda path: False)

    assert OtherPrograms().cores() is None
