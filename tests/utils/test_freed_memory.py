"""Freed memory is kept by the process, or given back."""

import resource

import pytest
import torch

from seg.testing.processes import in_fresh_interpreter
from seg.utils.freed_memory import keep_freed_memory

_NUMBERS = 1 << 24  # 64 MiB, larger than what the C library keeps by itself


def _new_pages(times: int) -> int:
    """Pages that the system had to provide for tensors that come and go."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        torch.zeros(_NUMBERS)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@in_fresh_interpreter
def test_what_is_freed_serves_again():
    handed_back = _new_pages(4)
    if not keep_freed_memory() or handed_back < 4 * _NUMBERS * 4 / 4096:
        pytest.skip('needs the GNU C library and pages of the usual size')
    _new_pages(20)  # until small things have found their places

    assert _new_pages(4) < handed_back / 10


def test_other_c_libraries_are_left_as_they_are(monkeypatch):
    monkeypatch.setattr('ctypes.CDLL', lambda _: object())

    assert not keep_freed_memory()
