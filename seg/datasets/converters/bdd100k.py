"""Shapes as BDD100K semantic segmentation."""

from __future__ import annotations

import numpy as np

from seg.datasets.converters.base import CLASSES, ShapesWriter, relabeled, write_jpeg, write_png
from seg.datasets.metainfo import BDD100K
from seg.datasets.shapes import SHAPES_THINGS, ShapesSample

# Things become the countable classes at the end of the list, stuff the ones at its beginning.
_VALUES = tuple(
    BDD100K.num_classes - len(SHAPES_THINGS) + label
    if label < len(SHAPES_THINGS)
    else label - len(SHAPES_THINGS)
    for label in range(len(CLASSES))
)


class BDD100KWriter(ShapesWriter):
    """BDD100K: the class of each pixel, under classes of BDD100K, whose list is fixed."""

    classes = tuple(BDD100K.class_names[value] for value in _VALUES)

    def add(self, split: str, index: int, sample: ShapesSample) -> None:
        """Write the image, its classes and their colours."""
        name = f'{split}-{index:06d}'
        write_jpeg(self.root / 'images' / '10k' / split / f'{name}.jpg', sample.clip[0])
        values = relabeled(sample, bdd100k_values(sample))[0].astype(np.uint8)
        labels = self.root / 'labels' / 'sem_seg'
        write_png(labels / 'masks' / split / f'{name}.png', values)
        palette = np.array([info.color for info in BDD100K.classes], dtype=np.uint8)
        write_png(labels / 'colormaps' / split / f'{name}.png', palette[values])

    def finish(self, split: str) -> None:
        """Nothing is said about a split as a whole."""


def bdd100k_values(sample: ShapesSample) -> list[int]:
    """Value of each segment in the PNG files."""
    return [_VALUES[label] for label in sample.labels.tolist()]
