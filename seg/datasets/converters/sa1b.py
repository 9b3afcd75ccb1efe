"""Shapes as SA-1B."""

from __future__ import annotations

from typing import Any

from seg.datasets.converters.base import (
    ShapesWriter,
    box_of,
    run_length_code,
    write_annotations,
    write_jpeg,
)
from seg.datasets.shapes import ShapesSample

IMAGES_PER_FOLDER = 1000


class SA1BWriter(ShapesWriter):
    """SA-1B: every segment without a class; ``train`` and ``val`` are two folders."""

    def add(self, split: str, index: int, sample: ShapesSample) -> None:
        """Write the image and its JSON file."""
        height, width = sample.clip.shape[1:3]
        folder = self.root / split / f'sa_{index // IMAGES_PER_FOLDER:06d}'
        name = f'sa_{index + 1}'
        write_jpeg(folder / f'{name}.jpg', sample.clip[0])
        about = {
            'image_id': index + 1,
            'file_name': f'{name}.jpg',
            'height': height,
            'width': width,
        }
        annotations = [_annotation(sample, row) for row in range(len(sample.labels))]
        write_annotations(folder / f'{name}.json', {'image': about, 'annotations': annotations})

    def finish(self, split: str) -> None:
        """Nothing is said about a split as a whole."""


def _annotation(sample: ShapesSample, row: int) -> dict[str, Any]:
    """The entry of one segment, as if found by a click in the middle of its box."""
    mask = sample.segment_map[0] == row + 1
    left, top, width, height = box_of(mask)
    return {
        'id': int(sample.object_ids[row]),
        'segmentation': run_length_code(mask),
        'bbox': [left, top, width, height],
        'area': int(mask.sum()),
        'predicted_iou': 1.0,
        'stability_score': 1.0,
        'crop_box': [0, 0, mask.shape[1], mask.shape[0]],
        'point_coords': [[left + width / 2, top + height / 2]],
    }
