"""YouTube-VIS 2019: clips of two frames for training, whole videos for evaluation.

Scales, ratios and the step between frames are those of the published training; sizes are (H, W).
The published ``valid.json`` has no annotations.
"""

from mmengine.config import read_base

from seg.datasets import YouTubeVISDataset
from seg.datasets.transforms import ClipFlip, LargeScaleJitter, PackClip, TestResize

with read_base():
    from ..loaders import *

data_root = 'data/youtube_vis_2019/'

youtube_vis_train = dict(
    type=YouTubeVISDataset,
    ann_file=data_root + 'train.json',
    img_dir=data_root + 'train/JPEGImages',
    task='panoptic',
    num_frames=2,
    frame_interval=(2, 2),
    dataset_name='youtube_vis_2019',
    pipeline=[
        dict(type=ClipFlip, prob=0.5),
        dict(type=LargeScaleJitter, scale=(736, 1280), ratio_range=(0.8, 2.0)),
        dict(type=PackClip),
    ],
)
youtube_vis_val = dict(
    type=YouTubeVISDataset,
    ann_file=data_root + 'valid.json',
    img_dir=data_root + 'valid/JPEGImages',
    task='panoptic',
    dataset_name='youtube_vis_2019',
    test_mode=True,
    pipeline=[dict(type=TestResize, scale=(736, 1280)), dict(type=PackClip)],
)

train_dataloader['dataset'] = youtube_vis_train
val_dataloader['dataset'] = youtube_vis_val
test_dataloader = val_dataloader
