"""Finding files, and telling whether anything changed among them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from seg.utils.checks import UserError

IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp')
"""What counts as an image in a folder, in lower case."""

_CHUNK = 1 << 22


def list_files(
    folder: Path, suffixes: tuple[str, ...] = IMAGE_SUFFIXES, *, recursive: bool = False
) -> list[str]:
    """Names of the files in a folder, sorted; hidden ones are left out.

    Args:
        folder: Where to look.
        suffixes: Endings to accept, in lower case; the case of names does not matter.
        recursive: Whether to look in folders below, too.

    Returns:
        Paths relative to ``folder``, with ``/`` between their parts.

    Raises:
        FileNotFoundError: If there is no such folder.
        UserError: If it is no folder.
    """
    if not folder.exists():
        raise FileNotFoundError(
            f'{folder}: expected a folder of files ending in {", ".join(suffixes)}, got a path '
            'that does not exist; check data_root and where you start the command'
        )
    if not folder.is_dir():
        raise UserError(f'{folder}: expected a folder, got a file; name the folder that has it')
    return sorted(_walk(os.fspath(folder), '', suffixes, recursive))


def _walk(folder: str, prefix: str, suffixes: tuple[str, ...], recursive: bool) -> Iterator[str]:
    below = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith('.'):
                continue
            if entry.name.lower().endswith(suffixes):
                yield prefix + entry.name
            elif recursive and entry.is_dir():
                below.append(entry.name)
    for name in below:
        yield from _walk(f'{folder}/{name}', f'{prefix}{name}/', suffixes, recursive)


def digest_file(path: Path) -> str:
    """Digest of the content of a file."""
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def digest_names(*listings: Iterable[str]) -> str:
    """Digest of lists of names, such as the files of some folders."""
    content = '\n'.join('\0'.join(names) for names in listings)
    return hashlib.sha256(content.encode('utf-8', 'surrogateescape')).hexdigest()


def stem_of(name: str) -> str:
    """A path without the ending of its file; a hundred times faster than pathlib."""
    return name.rpartition('.')[0]
