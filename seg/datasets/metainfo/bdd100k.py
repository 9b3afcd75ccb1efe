"""BDD100K semantic segmentation: 19 classes (Yu et al., CVPR 2020), those of Cityscapes.

The ids are the train ids that the label files have. There are no instances, so every class is
stuff. Names and colours are the data set's.
"""

from __future__ import annotations

from seg.datasets.class_info import class_info
from seg.datasets.label_space import LabelSpace
from seg.datasets.metainfo.cityscapes import CITYSCAPES

_NAMES = (
    'road',
    'sidewalk',
    'building',
    'wall',
    'fence',
    'pole',
    'traffic light',
    'traffic sign',
    'vegetation',
    'terrain',
    'sky',
    'person',
    'rider',
    'car',
    'truck',
    'bus',
    'train',
    'motorcycle',
    'bicycle',
)
_COLORS = {info.name: info.color for info in CITYSCAPES.classes}

BDD100K = LabelSpace(
    'bdd100k',
    (),
    tuple(class_info(index, name, _COLORS[name]) for index, name in enumerate(_NAMES)),
)
