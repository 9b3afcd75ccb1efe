"""Data sets of clips, and what turns their files into samples."""

from seg.datasets.clip_dataset import ClipDataset, SampleRef

__all__ = [
    'ClipDataset',
    'SampleRef',
]
