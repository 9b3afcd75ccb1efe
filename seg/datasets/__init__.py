"""Data sets of clips, and what turns their files into samples."""

from seg.datasets.bdd100k import BDD100KDataset
from seg.datasets.cityscapes import CityscapesDataset
from seg.datasets.clip_dataset import ClipDataset, SampleRef
from seg.datasets.coco_instance import CocoInstanceDataset
from seg.datasets.coco_panoptic import CocoPanopticDataset
from seg.datasets.davis import DavisDataset
from seg.datasets.folders import FolderDataset
from seg.datasets.joint_labels import JointLabels
from seg.datasets.mixed_dataset import MixedDataset
from seg.datasets.refcoco import RefCocoDataset
from seg.datasets.sa1b import SA1BDataset
from seg.datasets.shapes_dataset import ShapesColorsDataset, ShapesDataset
from seg.datasets.shapes_events import ShapesEventsDataset
from seg.datasets.shard_dataset import ShardDataset
from seg.datasets.video_dataset import VideoDataset
from seg.datasets.vipseg import VIPSegDataset
from seg.datasets.youtube_vis import YouTubeVISDataset

__all__ = [
    'BDD100KDataset',
    'CityscapesDataset',
    'ClipDataset',
    'CocoInstanceDataset',
    'CocoPanopticDataset',
    'DavisDataset',
    'FolderDataset',
    'JointLabels',
    'MixedDataset',
    'RefCocoDataset',
    'SA1BDataset',
    'SampleRef',
    'ShapesColorsDataset',
    'ShapesDataset',
    'ShapesEventsDataset',
    'ShardDataset',
    'VIPSegDataset',
    'VideoDataset',
    'YouTubeVISDataset',
]
