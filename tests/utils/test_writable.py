import errno
import os
import tempfile

import pytest

from seg.utils.checks import UserError
from seg.utils.writable import check_writable_file, check_writable_folder


def test_what_does_not_exist_yet_may_be_made(tmp_path):
    check_writable_file(tmp_path / 'new' / 'a.json', '--out')
    check_writable_folder(tmp_path / 'new' / 'folder', '--show-dir')
    assert not list(tmp_path.iterdir())


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(UserError, match=r'--out .*expected a file, got a folder; add the name'):
        check_writable_file(tmp_path, '--out')


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / 'a').write_text('')
    with pytest.raises(UserError, match=r'--out .*a/b\.json: expected .* but .*a is no folder'):
        check_writable_file(tmp_path / 'a' / 'b.json', '--out')
    with pytest.raises(UserError, match=r'--show-dir .*a is no folder; choose another path'):
        check_writable_folder(tmp_path / 'a', '--show-dir')


def test_a_folder_that_may_not_be_written_to_is_named(tmp_path, monkeypatch):
    def refuse(dir):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), dir)

    monkeypatch.setattr(tempfile, 'TemporaryFile', refuse)
    with pytest.raises(UserError, match=r'--out .*can be written to, .*\(Permission denied\)'):
        check_writable_file(tmp_path / 'a.json', '--out')
