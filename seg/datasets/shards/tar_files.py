"""Tar files of (image, annotation) pairs, as the webdataset format has them.

All files of a pair lie in one shard and share a key: their path up to the first dot of the file's
name. Nothing is ever extracted, unpickled or run.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from seg.utils.checks import UserError

IMAGE_KINDS = ('jpg', 'jpeg', 'png', 'webp')
ANNOTATION_KIND = 'json'
HEADER_BYTES = 512
_SCHEME = re.compile(r'^[A-Za-z][A-Za-z0-9+.-]+:')  # one letter is a drive of Windows


class Member(NamedTuple):
    """Where the content of a file lies in a shard.

    Attributes:
        offset: First byte.
        size: Number of bytes.
    """

    offset: int
    size: int


class Pair(NamedTuple):
    """One sample of a shard.

    Attributes:
        key: What its files are called, without their kind.
        image: The image.
        annotation: The JSON text.
    """

    key: str
    image: Member
    annotation: Member


def split_name(name: str) -> tuple[str, str]:
    """Key and kind (in lower case, without the dot) of a file in a shard."""
    folder, slash, base = name.removeprefix('./').rpartition('/')
    stem, _, kind = base.partition('.')
    return folder + slash + stem, kind.lower()


def find_shards(shards: str | Path | Sequence[str | Path]) -> list[Path]:
    """The tar files that a setting names.

    Args:
        shards: A folder of ``*.tar``, or one or several tar files.

    Returns:
        The files; those of a folder in the order of their names.

    Raises:
        FileNotFoundError: If a path does not exist.
        UserError: If it is a command or an address, is compressed, or holds no shard.
    """
    if not isinstance(shards, (str, Path)):
        return [path for entry in shards for path in find_shards(entry)]
    if _SCHEME.match(str(shards)):
        raise UserError(
            f'shards: expected a folder or tar files on this machine, got {str(shards)!r}; '
            'commands (pipe:) and addresses are never opened, download the files first'
        )
    path = Path(shards)
    if not path.exists():
        raise FileNotFoundError(
            f'{path}: expected a folder of .tar shards or one of them, got a path that does not '
            'exist; make shards with tools/dataset_converters/make_shards.py'
        )
    if path.is_file():
        if path.suffix != '.tar':
            raise UserError(
                f'{path}: expected an uncompressed .tar file, got {path.suffix or "no suffix"!r}; '
                'decompress it, so that samples can be read one by one'
            )
        return [path]
    found = sorted(path.glob('*.tar'))
    if not found:
        raise UserError(
            f'{path}: expected .tar files, got a folder without; make shards with '
            'tools/dataset_converters/make_shards.py'
        )
    return found


def scan_shard(path: Path) -> list[Pair]:
    """Find the pairs of a shard, reading the headers alone.

    Args:
        path: An uncompressed tar file.

    Returns:
        Its pairs in the order of their first files. Files of other kinds are passed over.

    Raises:
        UserError: If it is damaged or cut short, a name leads out of it, or a key has no image, no
            annotation, or two.
    """
    found: dict[str, dict[str, Member]] = {}
    for name, member in _members(path):
        key, kind = split_name(name)
        if key.startswith('/') or '..' in key.split('/'):
            raise UserError(
                f'{path}: expected names of files below a folder, got {name!r}; nothing is '
                'extracted, but such an archive is not to be trusted'
            )
        part = 'image' if kind in IMAGE_KINDS else kind
        if part not in ('image', ANNOTATION_KIND):
            continue
        if part in found.setdefault(key, {}):
            raise UserError(
                f'{path}: expected one {part} with the key {key!r}, got several; give every '
                'sample a name of its own'
            )
        found[key][part] = member
    for key, parts in found.items():
        if len(parts) < 2:
            wanted = 'a .json annotation' if 'image' in parts else f'an image {IMAGE_KINDS}'
            raise UserError(
                f'{path}: expected {wanted} with the key {key!r}, got {", ".join(parts)} alone; '
                'put both files of a sample into one shard'
            )
    return [Pair(key, parts['image'], parts[ANNOTATION_KIND]) for key, parts in found.items()]


def _members(path: Path) -> Iterator[tuple[str, Member]]:
    """Name and place of every regular file in an archive."""
    size = path.stat().st_size
    try:
        with tarfile.open(path, 'r:') as archive:
            for info in archive:
                if info.offset_data + info.size > size:
                    raise UserError(
                        f'{path}: expected {info.size} bytes of {info.name}, got a file that ends '
                        'before; it was cut short, copy or download it again'
                    )
                if info.isreg() and not info.issparse():
                    yield info.name, Member(info.offset_data, info.size)
            end = archive.offset
        with open(path, 'rb') as file:
            file.seek(end)
            mark = file.read(HEADER_BYTES)
    except (tarfile.TarError, OSError, EOFError) as error:
        raise UserError(
            f'{path}: expected an uncompressed tar file, got a broken or foreign one ({error}); '
            'copy or download it again'
        ) from None
    if mark != bytes(HEADER_BYTES):  # tarfile passes over what it cannot read
        raise UserError(
            f'{path}: expected a file or the end mark at byte {end}, got something else; the file '
            'is damaged or cut short, copy or download it again'
        )


def _may_be_called(name: str, key: str) -> bool:
    """Whether the header of a file with a key may hold a name.

    Names of 100 bytes or more are written elsewhere, others than ASCII may be.
    """
    if len(key.encode('utf-8', 'surrogateescape')) > 90:
        return True
    return split_name(name)[0] in (key, key.encode('ascii', 'replace').decode())


def read_member(path: Path, key: str, member: Member) -> bytes:
    """Read the content of one file in a shard.

    Args:
        path: The shard.
        key: The key that the file should have.
        member: Where it lies.

    Raises:
        FileNotFoundError: If there is no such shard.
        UserError: If another file lies there, or none: the shard changed after it was indexed.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f'{path}: expected a shard of the index, got a path without a file; copy it again or '
            'index the folder anew'
        )
    with open(path, 'rb') as file:
        file.seek(member.offset - HEADER_BYTES)
        content = file.read(HEADER_BYTES + member.size)
    try:
        info = tarfile.TarInfo.frombuf(content[:HEADER_BYTES], 'utf-8', 'surrogateescape')
        same = info.size == member.size and _may_be_called(info.name, key)
    except tarfile.HeaderError:
        same = False
    if not same or len(content) < HEADER_BYTES + member.size:
        raise UserError(
            f'{path}: expected {key!r} at byte {member.offset}, got something else; the shard '
            'changed after it was indexed, run tools/dataset_converters/index_shards.py'
        )
    return content[HEADER_BYTES:]
