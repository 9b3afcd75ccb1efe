"""Millions of (image, annotation) pairs in tar files, read one by one through an index."""

from seg.datasets.shards.shard_index import (
    INDEX_NAME,
    ShardTable,
    build_shard_index,
    load_shard_index,
    sample_place,
    write_shard_index,
)
from seg.datasets.shards.shard_writer import PairFiles, find_pairs, write_shards
from seg.datasets.shards.tar_files import (
    IMAGE_KINDS,
    Member,
    Pair,
    find_shards,
    read_member,
    scan_shard,
)

__all__ = [
    'IMAGE_KINDS',
    'INDEX_NAME',
    'Member',
    'Pair',
    'PairFiles',
    'ShardTable',
    'build_shard_index',
    'find_pairs',
    'find_shards',
    'load_shard_index',
    'read_member',
    'sample_place',
    'scan_shard',
    'write_shard_index',
    'write_shards',
]
