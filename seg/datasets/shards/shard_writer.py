"""Folders of (image, annotation) pairs written as tar shards."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from PIL import Image

from seg.datasets.index import list_files
from seg.datasets.sa1b_files import image_size_of, parse_sa1b
from seg.datasets.shards.tar_files import ANNOTATION_KIND, IMAGE_KINDS
from seg.utils.atomic_write import write_atomically
from seg.utils.checks import UserError


class PairFiles(NamedTuple):
    """Files of one sample.

    Attributes:
        key: Path below the folder, without suffix.
        image: The image.
        annotation: Its JSON file.
    """

    key: str
    image: Path
    annotation: Path


def find_pairs(folder: Path) -> list[PairFiles]:
    """Images with a JSON file of the same name beside them, in folders of any depth.

    Returns:
        The pairs in the order of their keys.

    Raises:
        FileNotFoundError: If there is no such folder.
        UserError: If there is no pair, a file has no partner, or a name cannot be a key.
    """
    images = _by_key(folder, tuple(f'.{kind}' for kind in IMAGE_KINDS))
    annotations = _by_key(folder, (f'.{ANNOTATION_KIND}',))
    alone = sorted(images.keys() ^ annotations.keys())
    if alone:
        path = images.get(alone[0]) or annotations[alone[0]]
        raise UserError(
            f'{path}: expected an image and a .json file of one name, got one of them alone '
            f'({len(alone)} such files); add or remove them'
        )
    if not images:
        raise UserError(
            f'{folder}: expected images ({", ".join(IMAGE_KINDS)}) with a .json file of the same '
            'name beside them, got none; name the folder that has them'
        )
    return [PairFiles(key, images[key], annotations[key]) for key in sorted(images)]


def _by_key(folder: Path, suffixes: tuple[str, ...]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for name in list_files(folder, suffixes, recursive=True):
        key = name.rpartition('.')[0]
        if '.' in key.rpartition('/')[2]:
            raise UserError(
                f'{folder / name}: expected a name with one dot, before its suffix, got {name!r}; '
                'rename it, as shards tell the files of a sample apart by what follows the first'
            )
        if key in found:
            raise UserError(
                f'{folder / name}: expected one image per name, got {found[key].name}, too; '
                'rename one of them'
            )
        found[key] = folder / name
    return found


def write_shards(
    pairs: Iterable[PairFiles], folder: Path, shard_bytes: int = 1 << 30
) -> Iterator[Path]:
    """Write shards ``shard-000000.tar``, ``shard-000001.tar``, ...; the same files give the same.

    Args:
        pairs: What to write.
        folder: An empty or new folder.
        shard_bytes: A shard is closed when its files have this size, so it is a little larger.

    Yields:
        The shard that each pair goes to, pair by pair; a shard appears when it is complete.

    Raises:
        UserError: If the folder has shards already, or a pair cannot be read.
    """
    if any(folder.glob('*.tar')):
        raise UserError(f'{folder}: expected a folder without .tar files, got one that has some')
    if shard_bytes < 1:
        raise UserError(f'shard_bytes: expected a size of at least 1 byte, got {shard_bytes}')
    part: list[tuple[str, Path]] = []
    number = size = 0
    for pair in pairs:
        _check_pair(pair)
        path = folder / f'shard-{number:06d}.tar'
        for file in (pair.image, pair.annotation):
            part.append((f'{pair.key}{file.suffix.lower()}', file))
            size += file.stat().st_size
        yield path
        if size >= shard_bytes:
            _write_shard(path, part, size)
            part, size, number = [], 0, number + 1
    if part:
        _write_shard(path, part, size)


def _check_pair(pair: PairFiles) -> None:
    """Find out early whether a pair is readable; pixels are not decoded."""
    where = str(pair.annotation)
    expected = image_size_of(parse_sa1b(pair.annotation.read_bytes(), where), where)
    try:
        with Image.open(pair.image) as image:
            got = image.height, image.width
    except (OSError, Image.DecompressionBombError) as error:
        raise UserError(
            f'{pair.image}: expected a readable image, got a broken or foreign file ({error}); '
            'copy or download it again'
        ) from None
    if got != expected:
        raise UserError(
            f'{pair.image}: expected height x width {expected[0]} x {expected[1]} as in '
            f'{pair.annotation}, got {got[0]} x {got[1]}'
        )


def _write_shard(path: Path, files: list[tuple[str, Path]], size: int) -> None:
    def write(target: BinaryIO) -> None:
        with tarfile.open(fileobj=target, mode='w', format=tarfile.PAX_FORMAT) as archive:
            for name, file in files:
                info = tarfile.TarInfo(name)  # no owner and no time, so that it is reproducible
                content = file.read_bytes()
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))

    write_atomically(path, write, size)
