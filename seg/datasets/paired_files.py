"""Images and maps of ids in two folders, paired by their names."""

from __future__ import annotations

from pathlib import Path

from seg.datasets.index import (
    IMAGE_SUFFIXES,
    Index,
    cached_index,
    digest_names,
    list_files,
    stem_of,
)
from seg.utils.checks import UserError

_VERSION = 1


def index_pairs(kind: str, images: Path, maps: Path, endings: tuple[str, ...] = ('',)) -> Index:
    """The index of images with their maps, through the cache.

    Columns: ``images`` and ``maps``, file names.

    Args:
        kind: Names the format.
        images: Folder of images.
        maps: Folder of maps (``*.png``).
        endings: What may follow the image's name in the map's name, before ``.png``.

    Raises:
        FileNotFoundError: If a folder is missing.
        UserError: If there is no image, or an image without a map, or the other way round.
    """
    names = list_files(images, IMAGE_SUFFIXES)
    others = list_files(maps, ('.png',))
    if not names:
        raise UserError(
            f'{images}: expected images ({", ".join(IMAGE_SUFFIXES)}), got none; check the root '
            'of the data and the split'
        )

    def build() -> Index:
        columns = {'images': names, 'maps': _pair(names, others, images, maps, endings)}
        return Index(columns, {})

    kind = f'{kind}-{maps.parent.name}'
    return cached_index(kind, _VERSION, images, digest_names(names, others), build)


def _pair(
    names: list[str], others: list[str], images: Path, maps: Path, endings: tuple[str, ...]
) -> list[str]:
    """The map of each image."""
    rest = {stem_of(name): name for name in others}
    found, stems = [], set()
    for name in names:
        stem = stem_of(name)
        if stem in stems:
            raise UserError(
                f'{images / name}: expected one image named {stem!r}, got several; rename one'
            )
        stems.add(stem)
        choices = [stem + ending for ending in endings if stem + ending in rest]
        if not choices:
            raise UserError(
                f'{maps / stem}{endings[0]}.png: expected a map for the image {images / name}, '
                'got none; add it or remove the image'
            )
        found.append(rest.pop(choices[0]))
    if rest:
        raise UserError(
            f'{maps / min(rest.values())}: expected an image of that name in {images}, got none '
            f'({len(rest)} such maps); add the image or remove the map'
        )
    return found
