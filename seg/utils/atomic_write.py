"""Files that are either complete or not there: written beside their final place, then moved."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_TEMPORARY = '.{name}.{token}.tmp'


def write_atomically(
    path: str | os.PathLike[str],
    write: Callable[[BinaryIO], None],
    needed_bytes: int | None = None,
) -> None:
    """Write a file through a temporary one in the same folder; readers never see half of it.

    Args:
        path: Where the file belongs; its folder is made if it is missing.
        write: Writes the content to the binary file that it is given.
        needed_bytes: About how many bytes will be written, for the error of a full disk.

    Raises:
        OSError: If the content cannot be written, naming the path and, for a full disk, the bytes
            needed and free. What was at ``path`` before stays, and no temporary file is left.
    """
    path = Path(path)
    with _named_errors(path, needed_bytes):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.parent / _TEMPORARY.format(name=path.name, token=secrets.token_hex(4))
        try:
            with open(temporary, 'xb') as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        _sync_folder(path.parent)


def write_bytes_atomically(path: str | os.PathLike[str], content: bytes) -> None:
    """Write bytes through a temporary file in the same folder; see :func:`write_atomically`.

    Raises:
        OSError: If they cannot be written; what was at ``path`` before stays.
    """

    def write(file: BinaryIO) -> None:
        file.write(content)

    write_atomically(path, write, len(content))


@contextmanager
def written_beside(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A place for a file that someone else writes, which is moved to ``path`` at the end.

    It has the same name, in a folder of its own beside ``path``. Who takes the file away in
    between, as it is no good, leaves ``path`` as it was; so do errors.

    Args:
        path: Where the file belongs; its folder is made if it is missing.

    Yields:
        Where to write.

    Raises:
        OSError: If it cannot be written, naming ``path``.
    """
    path = Path(path)
    with _named_errors(path, None):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix='.', suffix='.tmp', dir=path.parent) as folder:
            beside = Path(folder) / path.name
            yield beside
            if beside.exists():
                os.replace(beside, path)
                _sync_folder(path.parent)


def remove_leftovers(folder: str | os.PathLike[str]) -> list[Path]:
    """Remove the temporary files that a killed process left in a folder.

    Args:
        folder: A folder that nobody else is writing to now.

    Returns:
        The files that were removed.
    """
    leftovers = sorted(Path(folder).glob(_TEMPORARY.format(name='*', token='[0-9a-f]' * 8)))
    for leftover in leftovers:
        leftover.unlink(missing_ok=True)
    return leftovers


@contextmanager
def _named_errors(path: Path, needed_bytes: int | None) -> Iterator[None]:
    """Reword failures to write so that they name the path and, where it is full, the space."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        cause = _os_error(error)
        if cause is None:
            raise
        raise OSError(cause.errno, _reason(path, cause, needed_bytes)) from error


def _os_error(error: BaseException | None) -> OSError | None:
    """The operating system's error behind an exception; torch.save hides it in the context."""
    while error is not None and not isinstance(error, OSError):
        error = error.__cause__ or error.__context__
    return error


def _reason(path: Path, error: OSError, needed_bytes: int | None) -> str:
    if error.errno not in _FULL:
        return f'cannot write {path}: {error.strerror}'
    folder = path.parent
    free = shutil.disk_usage(folder).free if folder.is_dir() else 0
    needed = '' if needed_bytes is None else f'about {needed_bytes:,} bytes are needed and '
    return (
        f'cannot write {path}: {error.strerror}; {needed}{free:,} bytes are free in {folder}. '
        'The previous file was kept; free some space or choose another folder'
    )


def _sync_folder(folder: Path) -> None:
    """Make the move durable, where folders can be opened (not on Windows)."""
    if os.name != 'posix':
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
