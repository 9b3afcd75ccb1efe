import pickle

import numpy as np
import pytest

from seg.datasets.index import Index, IndexFileError, Texts, open_index, write_index

NAMES = ['a.jpg', '', 'straße/b.jpg', 'odd\udcff.png']


def toy_index():
    columns = {
        'sizes': np.array([[4, 5], [6, 7]], dtype=np.int32),
        'names': NAMES,
        'flags': np.array([True, False, True]),
        'none': np.zeros((0, 3), dtype=np.float32),
    }
    return Index(columns, {'classes': ['cat', 'dog']})


@pytest.fixture
def path(tmp_path):
    write_index(tmp_path / 'deep' / 'toy.index', toy_index(), 'key')
    return tmp_path / 'deep' / 'toy.index'


def test_texts_come_back_as_they_were():
    texts = Texts.pack(NAMES)
    assert list(texts) == NAMES
    assert texts[-1] == NAMES[-1]
    assert texts[1:3] == NAMES[1:3]
    assert texts.raw(2) == NAMES[2].encode()
    assert list(Texts.pack([])) == []
    for wrong in (4, -5):
        with pytest.raises(IndexError, match='expected an index below 4'):
            texts[wrong]


def test_columns_come_back_as_they_were(path):
    index, written = open_index(path, 'key'), toy_index()
    assert index.meta == written.meta
    assert list(index.texts('names')) == NAMES
    for name in ('sizes', 'flags', 'none'):
        np.testing.assert_array_equal(index[name], written[name])
        assert index[name].dtype == written[name].dtype


def test_columns_are_mapped_and_cannot_be_written_to(path):
    index = open_index(path, 'key')
    assert all(not array.flags.writeable for array in index.arrays.values())
    with pytest.raises(ValueError, match='read-only'):
        index['sizes'][0] = 0


def test_a_process_maps_a_file_once_and_lets_it_go(path):
    index = open_index(path, 'key')
    assert open_index(path, 'key') is index
    assert pickle.loads(pickle.dumps(index)) is index
    path.unlink()
    del index
    with pytest.raises(IndexFileError, match='cannot be read'):
        open_index(path, 'key')


def test_an_index_in_memory_is_pickled_whole():
    index = pickle.loads(pickle.dumps(toy_index()))
    assert list(index.texts('names')) == NAMES
    assert index.meta == {'classes': ['cat', 'dog']}


@pytest.mark.parametrize('kept', [0, 10, 60, -1])
def test_partial_files_are_noticed(path, kept):
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(IndexFileError):
        open_index(path, 'key')


@pytest.mark.parametrize('place', [3, 30, -3])
def test_damaged_files_are_noticed(path, place):
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(IndexFileError):
        open_index(path, 'key')


def test_other_content_is_noticed(path):
    with pytest.raises(IndexFileError, match='made of other content'):
        open_index(path, 'other')
