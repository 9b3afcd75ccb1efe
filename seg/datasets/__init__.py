"""Data sets of clips, and what turns their files into samples."""

from seg.datasets.clip_dataset import ClipDataset, SampleRef
from seg.datasets.coco_instance import CocoInstanceDataset
from seg.datasets.coco_panoptic import CocoPanopticDataset
from seg.datasets.davis import DavisDataset
from seg.datasets.mixed_dataset import MixedDataset
from seg.datasets.shapes_dataset import ShapesDataset
from seg.datasets.shard_dataset import ShardDataset
from seg.datasets.video_dataset import VideoDataset
from seg.datasets.youtube_vis import YouTubeVISDataset

__all__ = [
    'ClipDataset',
    'CocoInstanceDataset',
    'CocoPanopticDataset',
    'DavisDataset',
    'MixedDataset',
    'SampleRef',
    'ShapesDataset',
    'ShardDataset',
    'VideoDataset',
    'YouTubeVISDataset',
]
