"""What every test shares: one thread, fixed seeds, the folder of shared fixtures."""

import os

# Before torch is imported anywhere: two test workers with two threads each fight over two cores.
os.environ.setdefault('OMP_NUM_THREADS', '1')
os.environ.setdefault('MPLBACKEND', 'Agg')

import random
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope='session', autouse=True)
def _own_cache() -> Iterator[None]:
    """Keep caches of tests, and of the tools they start, out of the user's own."""
    with tempfile.TemporaryDirectory(prefix='rapsam-tests-') as folder:
        os.environ['RAPSAM_CACHE_DIR'] = folder
        yield


@pytest.fixture(autouse=True)
def seed() -> None:
    """Seed every generator; torch only where it is imported already, so light tests stay light."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002  (MMDetection and MMEngine draw from the global generator)
    if 'torch' in sys.modules:
        sys.modules['torch'].manual_seed(0)


@pytest.fixture(autouse=True)
def _as_the_next_test_found_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tools that run in the process of the tests leave its allocator as it is."""
    monkeypatch.setattr('seg.utils.freed_memory.keep_freed_memory', lambda: True)


@pytest.fixture(scope='session')
def repository() -> Path:
    """The checkout's root."""
    return REPOSITORY


@pytest.fixture(scope='session')
def shared_dir() -> Path:
    """The folder of shared fixtures beside the checkout; the test is skipped where it is absent."""
    folder = REPOSITORY.parent / 'shared'
    if not (folder / 'fixtures').is_dir():
        pytest.skip(f'shared fixtures absent: {folder}')
    return folder
