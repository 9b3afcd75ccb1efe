import errno
import os

import pytest

from seg.utils.atomic_write import (
    remove_leftovers,
    write_atomically,
    write_bytes_atomically,
    written_beside,
)


def test_file_is_written_with_ordinary_permissions(tmp_path):
    (tmp_path / 'touched').touch()
    write_bytes_atomically(tmp_path / 'new' / 'file', b'content')
    assert (tmp_path / 'new' / 'file').read_bytes() == b'content'
    assert (tmp_path / 'new' / 'file').stat().st_mode == (tmp_path / 'touched').stat().st_mode


def test_failure_in_the_middle_leaves_the_old_file_alone(tmp_path):
    path = tmp_path / 'file'
    path.write_bytes(b'old')

    def write(file):
        file.write(b'new, and then')
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError, match=r'cannot write .*file: No space left.*about 99 bytes'):
        write_atomically(path, write, 99)
    assert path.read_bytes() == b'old'
    assert list(tmp_path.iterdir()) == [path]


def test_other_errors_pass_through(tmp_path):
    def write(file):
        raise RuntimeError('not about disks')

    with pytest.raises(RuntimeError, match='not about disks'):
        write_atomically(tmp_path / 'file', write)
    assert not list(tmp_path.iterdir())


def test_what_someone_else_writes_is_moved_when_it_is_whole(tmp_path):
    path = tmp_path / 'new' / 'file.onnx'
    with written_beside(path) as beside:
        assert beside.name == path.name
        beside.write_bytes(b'content')
        assert not path.exists()
    assert path.read_bytes() == b'content'
    assert list(path.parent.iterdir()) == [path]


def test_what_is_taken_away_replaces_nothing(tmp_path):
    path = tmp_path / 'file'
    path.write_bytes(b'old')
    with written_beside(path) as beside:
        beside.write_bytes(b'new')
        beside.unlink()
    assert path.read_bytes() == b'old'


def test_half_of_what_someone_else_writes_is_not_kept(tmp_path):
    path = tmp_path / 'file'
    path.write_bytes(b'old')
    with (
        pytest.raises(OSError, match=r'cannot write .*file: File too large'),
        written_beside(path) as beside,
    ):
        beside.write_bytes(b'half')
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    assert path.read_bytes() == b'old'
    assert list(tmp_path.iterdir()) == [path]


def test_unwritable_place_is_named(tmp_path):
    (tmp_path / 'file').write_bytes(b'')
    with pytest.raises(OSError, match=r'cannot write .*file/under: '):
        write_bytes_atomically(tmp_path / 'file' / 'under', b'')


def test_leftovers_of_a_killed_process_are_removed_and_nothing_else(tmp_path):
    for name in ('.iter_5.pth.0a1b2c3d.tmp', 'iter_5.pth', '.hidden.tmp', 'notes.tmp'):
        (tmp_path / name).touch()
    assert [path.name for path in remove_leftovers(tmp_path)] == ['.iter_5.pth.0a1b2c3d.tmp']
    assert len(list(tmp_path.iterdir())) == 3
