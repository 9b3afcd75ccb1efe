import multiprocessing
import os

import numpy as np
import pytest

from seg.utils import embedding_store
from seg.utils.checks import UserError
from seg.utils.embedding_store import EmbeddingStore

SHAPE = (2, 3)


def array(value):
    return np.full(SHAPE, value, dtype=np.float16)


def files(folder, suffix):
    return sorted(folder.glob(f'*{suffix}'))


def test_what_is_written_is_read_by_this_and_other_stores(tmp_path):
    first, second = EmbeddingStore(tmp_path / 's', SHAPE), EmbeddingStore(tmp_path / 's', SHAPE)
    first.put('a', array(1))
    first.put('b', array(2))

    for store in (first, second, EmbeddingStore(tmp_path / 's', SHAPE)):
        assert np.array_equal(store.get('b'), array(2))
        assert store.get('c') is None


def test_files_are_split(tmp_path):
    store = EmbeddingStore(tmp_path / 's', SHAPE, shard_bytes=2 * 12)
    for i in range(5):
        store.put(f'k{i}', array(i))

    assert [file.stat().st_size for file in files(tmp_path / 's', '.bin')].count(24) == 2
    assert all(store.get(f'k{i}')[0, 0] == i for i in range(5))


def test_a_half_written_line_or_array_is_not_there(tmp_path):
    store = EmbeddingStore(tmp_path / 's', SHAPE)
    store.put('a', array(1))
    (index,), (data,) = files(tmp_path / 's', '.idx'), files(tmp_path / 's', '.bin')
    with open(index, 'a') as file:
        file.write('b 1 12')
    with open(data, 'ab') as file:
        file.write(b'123')
    later = EmbeddingStore(tmp_path / 's', SHAPE)

    assert later.get('b') is None
    assert np.array_equal(later.get('a'), array(1))
    later.put('b', array(2))  # into a file of its own
    assert np.array_equal(EmbeddingStore(tmp_path / 's', SHAPE).get('b'), array(2))


def test_a_damaged_array_is_computed_again(tmp_path):
    EmbeddingStore(tmp_path / 's', SHAPE).put('a', array(1))
    (data,) = files(tmp_path / 's', '.bin')
    data.write_bytes(b'\0' * data.stat().st_size)
    store = EmbeddingStore(tmp_path / 's', SHAPE)

    assert store.get('a') is None
    store.put('a', array(3))
    assert np.array_equal(store.get('a'), array(3))


def fill(folder, name):
    store = EmbeddingStore(folder, SHAPE)
    for i in range(20):
        store.put(f'{name}{i}', array(i))


def test_two_processes_fill_one_store(tmp_path):
    context = multiprocessing.get_context('fork')
    workers = [context.Process(target=fill, args=(tmp_path / 's', name)) for name in 'xy']
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    store = EmbeddingStore(tmp_path / 's', SHAPE)

    assert all(store.get(f'{name}{i}')[0, 0] == i for name in 'xy' for i in range(20))


def test_a_full_disk_is_named_and_loses_nothing(tmp_path, monkeypatch):
    store = EmbeddingStore(tmp_path / 's', SHAPE)
    store.put('a', array(1))
    usage = type('Usage', (), {'free': 5})
    monkeypatch.setattr(embedding_store.shutil, 'disk_usage', lambda folder: usage)
    with pytest.raises(UserError, match=r'expected room for .* got 0\.0 MB free.*stays usable'):
        store.put('b', array(2))
    assert np.array_equal(EmbeddingStore(tmp_path / 's', SHAPE).get('a'), array(1))


def test_an_array_that_does_not_fit_any_more_is_taken_back(tmp_path, monkeypatch):
    store = EmbeddingStore(tmp_path / 's', SHAPE)
    store.put('a', array(1))
    (data,) = files(tmp_path / 's', '.bin')
    real_open = open

    def failing(path, mode='r'):
        if str(path).endswith('.idx') and mode == 'ab':
            raise OSError(28, 'No space left on device')
        return real_open(path, mode)

    monkeypatch.setattr(embedding_store, 'open', failing, raising=False)
    with pytest.raises(UserError, match='No space left on device'):
        store.put('b', array(2))
    assert os.path.getsize(data) == 12


def test_other_shapes_and_foreign_folders_are_refused(tmp_path):
    EmbeddingStore(tmp_path / 's', SHAPE).put('a', array(1))
    with pytest.raises(UserError, match=r'expected arrays of shape \(4,\)'):
        EmbeddingStore(tmp_path / 's', (4,))
    (tmp_path / 'other').mkdir()
    (tmp_path / 'other/file.txt').write_text('x')
    with pytest.raises(UserError, match='one with other files'):
        EmbeddingStore(tmp_path / 'other', SHAPE)
    with pytest.raises(UserError, match='expected shape'):
        EmbeddingStore(tmp_path / 's', SHAPE).put('a', np.zeros(3))
