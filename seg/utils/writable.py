"""Finding out before long work whether its results can be written."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from seg.utils.checks import UserError


def check_writable_file(path: str | os.PathLike[str], name: str) -> None:
    """Check that a file can be written, without writing it.

    Args:
        path: The file, which need not exist; nor need its folder.
        name: How errors call it, such as ``'--out'``.

    Raises:
        UserError: If it is a folder, or its folder cannot be made or written to.
    """
    path = Path(path)
    if path.is_dir():
        raise UserError(f'{name} {path}: expected a file, got a folder; add the name of a file')
    _check_folder(path.parent, f'{name} {path}')


def check_writable_folder(path: str | os.PathLike[str], name: str) -> None:
    """Check that files can be written to a folder, without making it.

    Args:
        path: The folder, which need not exist.
        name: How errors call it, such as ``'--work-dir'``.

    Raises:
        UserError: If it or a folder above is a file, or may not be written to.
    """
    _check_folder(Path(path), f'{name} {path}')


def _check_folder(folder: Path, where: str) -> None:
    existing = folder.absolute()
    while not os.path.lexists(existing):
        existing = existing.parent
    if not existing.is_dir():
        raise UserError(
            f'{where}: expected a folder, but {existing} is no folder; choose another path'
        )
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise UserError(
            f'{where}: expected a folder that can be written to, but {existing} may not be '
            f'({error.strerror}); choose another path or change its permissions'
        ) from error
