"""Where indexes are kept between runs."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from mmengine.logging import print_log

from seg.datasets.index.index_file import Index, IndexFileError, open_index, write_index

CACHE_VARIABLE = 'RAPSAM_CACHE_DIR'
"""Environment variable that names the folder of caches."""


def index_cache_dir() -> Path:
    """The folder of indexes: ``$RAPSAM_CACHE_DIR/indexes``, by default in the user's cache."""
    folder = os.environ.get(CACHE_VARIABLE)
    if folder:
        return Path(folder).expanduser() / 'indexes'
    home = os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'
    return Path(home) / 'rapsam' / 'indexes'


def cached_index(
    kind: str, version: int, where: Path, content: str, build: Callable[[], Index]
) -> Index:
    """The index of a data set, from the cache if it is whole and made of the present content.

    A file that is partial, damaged, or made of other content is built anew and replaced, so a
    place never has more than one. When the cache cannot be written to, a warning says so and the
    index stays in the memory of this process.

    Args:
        kind: What reads the data set, such as ``'coco_panoptic'``.
        version: Version of what ``build`` makes.
        where: File or folder of the data set.
        content: Digest of all that ``build`` reads.
        build: Makes the index.
    """
    place = hashlib.sha256(f'{kind}\n{where.resolve()}'.encode()).hexdigest()[:16]
    key = hashlib.sha256(f'{kind}\n{version}\n{content}'.encode()).hexdigest()
    path = index_cache_dir() / f'{where.stem or "data"}-{kind}-{place}.index'
    try:
        return open_index(path, key)
    except IndexFileError as error:
        if path.is_file():
            print_log(f'index {path} {error}; it is built again', 'current')
    index = build()
    try:
        write_index(path, index, key)
        return open_index(path, key)
    except (OSError, IndexFileError) as error:
        print_log(
            f'the index of {where} is not kept and every run will build it again: {error}; set '
            f'{CACHE_VARIABLE} to a folder that can be written to',
            'current',
            30,
        )
        return index
