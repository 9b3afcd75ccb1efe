"""Cityscapes panoptic: 8 things and 11 stuff classes (Cordts et al., CVPR 2016).

The ids are the data set's label ids, which its panoptic annotations have unless they were made
with train ids. Names and colours are the data set's.
"""

from __future__ import annotations

from seg.datasets.class_info import class_info
from seg.datasets.label_space import LabelSpace

_THINGS = (
    class_info(24, 'person', (220, 20, 60)),
    class_info(25, 'rider', (255, 0, 0)),
    class_info(26, 'car', (0, 0, 142)),
    class_info(27, 'truck', (0, 0, 70)),
    class_info(28, 'bus', (0, 60, 100)),
    class_info(31, 'train', (0, 80, 100)),
    class_info(32, 'motorcycle', (0, 0, 230)),
    class_info(33, 'bicycle', (119, 11, 32)),
)

_STUFF = (
    class_info(7, 'road', (128, 64, 128)),
    class_info(8, 'sidewalk', (244, 35, 232)),
    class_info(11, 'building', (70, 70, 70)),
    class_info(12, 'wall', (102, 102, 156)),
    class_info(13, 'fence', (190, 153, 153)),
    class_info(17, 'pole', (153, 153, 153)),
    class_info(19, 'traffic light', (250, 170, 30)),
    class_info(20, 'traffic sign', (220, 220, 0)),
    class_info(21, 'vegetation', (107, 142, 35)),
    class_info(22, 'terrain', (152, 251, 152)),
    class_info(23, 'sky', (70, 130, 180)),
)

CITYSCAPES = LabelSpace('cityscapes', _THINGS, _STUFF)
