"""Shapes as folders of images and masks."""

from __future__ import annotations

import numpy as np

from seg.datasets.converters.base import ShapesWriter, relabeled, write_jpeg, write_png
from seg.datasets.shapes import ShapesSample


class FoldersWriter(ShapesWriter):
    """``images/{split}`` and ``masks/{split}``: the object ids of things; stuff is background."""

    def add(self, split: str, index: int, sample: ShapesSample) -> None:
        """Write the image and its mask."""
        name = f'{index:06d}'
        write_jpeg(self.root / 'images' / split / f'{name}.jpg', sample.clip[0])
        ids = relabeled(sample, np.where(sample.is_thing, sample.object_ids, 0).tolist())
        write_png(self.root / 'masks' / split / f'{name}.png', ids[0].astype(np.uint8))

    def finish(self, split: str) -> None:
        """Nothing is said about a split as a whole."""
