"""Images and maps of ids in two folders, paired by their names."""

from __future__ import annotations

from pathlib import Path

from seg.datasets.index import IMAGE_SUFFIXES, Index, list_files, shared_index
from seg.utils.checks import UserError


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
    rest = {name[: -len('.png')]: name for name in list_files(maps, ('.png',))}
    if not names:
        raise UserError(
            f'{images}: expected images ({", ".join(IMAGE_SUFFIXES)}), got none; check the root '
            'of the data and the split'
        )
    found, stems = [], set()
    for name in names:
        stem = Path(name).stem
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
    return shared_index(kind, images, Index({'images': names, 'maps': found}, {'maps': str(maps)}))
