"""What data sets know about their files: built once, kept in a cache, memory-mapped."""

from seg.datasets.index.cache import CACHE_VARIABLE, cached_index, index_cache_dir
from seg.datasets.index.index_file import Column, Index, IndexFileError, open_index, write_index
from seg.datasets.index.listing import (
    IMAGE_SUFFIXES,
    digest_file,
    digest_names,
    list_files,
    stem_of,
)
from seg.datasets.index.texts import Texts

__all__ = [
    'CACHE_VARIABLE',
    'IMAGE_SUFFIXES',
    'Column',
    'Index',
    'IndexFileError',
    'Texts',
    'cached_index',
    'digest_file',
    'digest_names',
    'index_cache_dir',
    'list_files',
    'open_index',
    'stem_of',
    'write_index',
]
