"""Shapes as COCO panoptic and COCO instances."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seg.datasets.converters.base import (
    SHAPES_SPACE,
    ShapesWriter,
    box_of,
    categories_of,
    run_length_code,
    things_of,
    write_annotations,
    write_jpeg,
    write_png,
)
from seg.datasets.label_space import LabelSpace
from seg.datasets.shapes import ShapesSample
from seg.structures.panoptic_ids import encode_panoptic


class CocoWriter(ShapesWriter):
    """What both layouts share: images in ``train2017`` and ``val2017``, and their entries."""

    names_classes = True

    def __init__(self, root: Path, label_space: LabelSpace = SHAPES_SPACE) -> None:
        super().__init__(root, label_space)
        self.images: dict[str, list[dict[str, Any]]] = {}
        self.annotations: dict[str, list[dict[str, Any]]] = {}

    def add_image(self, split: str, index: int, sample: ShapesSample) -> dict[str, Any]:
        """Write the image; returns its entry."""
        height, width = sample.clip.shape[1:3]
        name = f'{index + 1:012d}.jpg'
        write_jpeg(self.root / f'{split}2017' / name, sample.clip[0])
        entry = {'id': index + 1, 'file_name': name, 'height': height, 'width': width}
        self.images.setdefault(split, []).append(entry)
        return entry

    def write_split(self, split: str, name: str, categories: list[dict[str, Any]]) -> None:
        """Write ``annotations/{name}_{split}2017.json``."""
        content = {
            'images': self.images.get(split, []),
            'annotations': self.annotations.get(split, []),
            'categories': categories,
        }
        write_annotations(self.root / 'annotations' / f'{name}_{split}2017.json', content)


class CocoPanopticWriter(CocoWriter):
    """COCO panoptic: every segment; segment ids are the object ids."""

    def add(self, split: str, index: int, sample: ShapesSample) -> None:
        """Write the image and its PNG of ids."""
        image = self.add_image(split, index, sample)
        name = image['file_name'].replace('.jpg', '.png')
        folder = self.root / 'annotations' / f'panoptic_{split}2017'
        write_png(folder / name, encode_panoptic(sample.segment_map[0]))
        entry = {
            'image_id': image['id'],
            'file_name': name,
            'segments_info': panoptic_segments(sample, self.category_ids),
        }
        self.annotations.setdefault(split, []).append(entry)

    def finish(self, split: str) -> None:
        """Write the annotation file."""
        self.write_split(split, 'panoptic', categories_of(self.label_space))


def panoptic_segments(sample: ShapesSample, category_ids: Sequence[int]) -> list[dict[str, Any]]:
    """The entries ``segments_info`` of an image whose PNG is its segment map.

    Args:
        sample: The image.
        category_ids: Category of each label of Shapes.
    """
    entries = []
    for row, label in enumerate(sample.labels.tolist()):
        mask = sample.segment_map[0] == row + 1
        entries.append(
            {
                'id': row + 1,
                'category_id': category_ids[label],
                'iscrowd': 0,
                'area': int(mask.sum()),
                'bbox': box_of(mask),
            }
        )
    return entries


class CocoInstanceWriter(CocoWriter):
    """COCO instances: the things, as run-length codes."""

    def add(self, split: str, index: int, sample: ShapesSample) -> None:
        """Write the image and note its things."""
        image = self.add_image(split, index, sample)
        self.add_things(split, image['id'], sample)

    def add_things(self, split: str, image_id: int, sample: ShapesSample) -> list[int]:
        """Note the things of an image; returns the ids of their annotations."""
        annotations = self.annotations.setdefault(split, [])
        first = len(annotations)
        for row in things_of(sample):
            mask = sample.segment_map[0] == row + 1
            annotations.append(
                {
                    'id': len(annotations) + 1,
                    'image_id': image_id,
                    'category_id': self.category_ids[sample.labels[row]],
                    'segmentation': run_length_code(mask),
                    'area': int(mask.sum()),
                    'bbox': box_of(mask),
                    'iscrowd': 0,
                }
            )
        return list(range(first + 1, len(annotations) + 1))

    def finish(self, split: str) -> None:
        """Write the annotation file."""
        self.write_split(split, 'instances', categories_of(self.label_space, things_only=True))
