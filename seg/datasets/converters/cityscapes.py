"""Shapes as Cityscapes panoptic."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from seg.datasets.converters.base import (
    SHAPES_SPACE,
    ShapesWriter,
    categories_of,
    write_annotations,
    write_png,
)
from seg.datasets.converters.coco import panoptic_segments
from seg.datasets.label_space import LabelSpace
from seg.datasets.shapes import ShapesSample
from seg.structures.panoptic_ids import encode_panoptic

CITY = 'shapestown'


class CityscapesWriter(ShapesWriter):
    """Cityscapes: every segment, in the folder of one city."""

    names_classes = True

    def __init__(self, root: Path, label_space: LabelSpace = SHAPES_SPACE) -> None:
        super().__init__(root, label_space)
        self.images: dict[str, list[dict[str, Any]]] = {}
        self.annotations: dict[str, list[dict[str, Any]]] = {}

    def add(self, split: str, index: int, sample: ShapesSample) -> None:
        """Write the image and its PNG of ids, named as cityscapesScripts does."""
        name = f'{CITY}_{index:06d}_000019'
        folder = self.root / 'leftImg8bit' / split / CITY
        write_png(folder / f'{name}_leftImg8bit.png', sample.clip[0])
        segments = self.root / 'gtFine' / f'cityscapes_panoptic_{split}'
        seg_name = f'{name}_gtFine_panoptic.png'
        write_png(segments / seg_name, encode_panoptic(sample.segment_map[0]))
        height, width = sample.clip.shape[1:3]
        self.images.setdefault(split, []).append(
            {
                'id': name,
                'file_name': f'{name}_gtFine_leftImg8bit.png',
                'height': height,
                'width': width,
            }
        )
        self.annotations.setdefault(split, []).append(
            {
                'image_id': name,
                'file_name': seg_name,
                'segments_info': panoptic_segments(sample, self.category_ids),
            }
        )

    def finish(self, split: str) -> None:
        """Write the annotation file."""
        content = {
            'images': self.images.get(split, []),
            'annotations': self.annotations.get(split, []),
            'categories': categories_of(self.label_space),
        }
        write_annotations(self.root / 'gtFine' / f'cityscapes_panoptic_{split}.json', content)
