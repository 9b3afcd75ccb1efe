import os
from pathlib import Path
from unittest import mock

import pytest

from seg.datasets.index import (
    Index,
    cached_index,
    digest_file,
    digest_names,
    index_cache_dir,
    list_files,
)
from seg.utils.checks import UserError


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, and a function that asks it for an index and says how often it was built."""
    monkeypatch.setenv('RAPSAM_CACHE_DIR', str(tmp_path / 'cache'))
    built = []

    def ask(content='one', where='data/set.json', kind='toy', version=1):
        def build():
            built.append(content)
            return Index({'names': [content]}, {})

        index = cached_index(kind, version, tmp_path / where, content, build)
        assert index.texts('names')[0] == content
        return len(built)

    return ask


def test_an_index_is_built_once(cache):
    assert [cache(), cache(), cache()] == [1, 1, 1]


def test_other_content_replaces_an_index(cache):
    assert [cache('one'), cache('two'), cache('two'), cache('one')] == [1, 2, 2, 3]
    assert len(list(index_cache_dir().iterdir())) == 1


def test_another_reader_or_version_has_its_own_index(cache):
    assert [cache(), cache(kind='other'), cache(version=2)] == [1, 2, 3]


def test_files_of_one_name_do_not_share_an_index(cache):
    assert [cache(where='a/set.json'), cache(where='b/set.json'), cache(where='a/set.json')] == [
        1,
        2,
        2,
    ]


def test_a_partial_index_is_built_again(cache):
    cache()
    (path,) = index_cache_dir().iterdir()
    path.write_bytes(path.read_bytes()[:-1])
    assert [cache(), cache()] == [2, 2]


def test_a_cache_that_cannot_be_written_to_is_announced(cache, tmp_path, monkeypatch):
    (tmp_path / 'file').write_text('')
    monkeypatch.setenv('RAPSAM_CACHE_DIR', str(tmp_path / 'file'))
    with mock.patch('seg.datasets.index.cache.print_log') as log:
        assert [cache(), cache()] == [1, 2]
    assert 'set RAPSAM_CACHE_DIR to a folder' in log.call_args.args[0]


def test_the_default_cache_is_the_users(monkeypatch):
    monkeypatch.delenv('RAPSAM_CACHE_DIR')
    monkeypatch.setenv('XDG_CACHE_HOME', '/somewhere')
    assert index_cache_dir() == Path('/somewhere/rapsam/indexes')
    monkeypatch.delenv('XDG_CACHE_HOME')
    assert index_cache_dir() == Path.home() / '.cache' / 'rapsam' / 'indexes'


def test_digests_follow_content_alone(tmp_path):
    (tmp_path / 'a').write_text('one')
    first = digest_file(tmp_path / 'a')
    stamp = (tmp_path / 'a').stat()
    (tmp_path / 'a').write_text('two')
    os.utime(tmp_path / 'a', ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert digest_file(tmp_path / 'a') != first  # though size and times are the same


def test_digests_of_names_follow_names_and_order():
    digests = [
        digest_names(['a', 'b'], ['c']),
        digest_names(['a'], ['b', 'c']),
        digest_names(['b', 'a'], ['c']),
        digest_names(['ab'], ['c']),
        digest_names(['a', 'b'], []),
    ]
    assert len(set(digests)) == 5
    assert digest_names(iter(['a', 'b']), ['c']) == digests[0]


def test_listings(tmp_path):
    for name in ('b.JPG', 'a.png', '.hidden.png', 'note.txt', 'sub/c.png', '.cache/d.png'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text('')
    assert list_files(tmp_path) == ['a.png', 'b.JPG']
    assert list_files(tmp_path, recursive=True) == ['a.png', 'b.JPG', 'sub/c.png']
    assert list_files(tmp_path, ('.txt',)) == ['note.txt']
    with pytest.raises(FileNotFoundError, match='gone: expected a folder'):
        list_files(tmp_path / 'gone')
    with pytest.raises(UserError, match=r'a\.png: expected a folder, got a file'):
        list_files(tmp_path / 'a.png')
