"""SA-1B or a collection like it in tar shards, read faster than from folders of files.

Any folder of tar files will do, those of SA-1B as they were downloaded and those of make_shards.py.
"""

from mmengine.config import read_base

from seg.datasets import ShardDataset

with read_base():
    from .sa1b import *

data_root = 'data/sa1b_shards/'

train_dataloader['dataset'] = dict(
    type=ShardDataset,
    shards=data_root + 'train',
    task='interactive_image',
    max_segments=30,
    pipeline=sa1b_train['pipeline'],
)
val_dataloader['dataset'] = dict(
    type=ShardDataset,
    shards=data_root + 'val',
    task='interactive_image',
    test_mode=True,
    pipeline=sa1b_val['pipeline'],
)
test_dataloader = val_dataloader
