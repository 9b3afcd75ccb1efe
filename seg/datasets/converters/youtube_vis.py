"""Shapes as YouTube-VIS."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from seg.datasets.converters.base import (
    SHAPES_SPACE,
    ShapesWriter,
    box_of,
    categories_of,
    run_lengths,
    things_of,
    write_annotations,
    write_jpeg,
)
from seg.datasets.label_space import LabelSpace
from seg.datasets.shapes import ShapesSample

SPLITS = {'train': 'train', 'val': 'valid'}
IDS_PER_VIDEO = 1000
"""The annotation of object ``k`` of video ``v`` (from 1 on) has the id ``1000 v + k``."""


class YouTubeVISWriter(ShapesWriter):
    """YouTube-VIS 2019: things as uncompressed run-length codes; ``valid.json`` has them, too."""

    is_video = True
    names_classes = True
    annotation_file = '{split}.json'

    def __init__(self, root: Path, label_space: LabelSpace = SHAPES_SPACE) -> None:
        super().__init__(root, label_space)
        self.videos: dict[str, list[dict[str, Any]]] = {}
        self.annotations: dict[str, list[dict[str, Any]]] = {}

    def add(self, split: str, index: int, sample: ShapesSample) -> None:
        """Write the frames and note the things."""
        height, width = sample.clip.shape[1:3]
        folder = f'shapes{index:05d}'
        names = [f'{folder}/{t:05d}.jpg' for t in range(len(sample.clip))]
        for name, frame in zip(names, sample.clip, strict=True):
            write_jpeg(self.root / SPLITS[split] / 'JPEGImages' / name, frame)
        self.videos.setdefault(split, []).append(
            {
                'id': index + 1,
                'file_names': names,
                'height': height,
                'width': width,
                'length': len(names),
            }
        )
        self.annotations.setdefault(split, []).extend(
            _annotation(sample, row, index + 1, self.category_ids[sample.labels[row]])
            for row in things_of(sample)
        )

    def finish(self, split: str) -> None:
        """Write the annotation file."""
        content = {
            'videos': self.videos.get(split, []),
            'annotations': self.annotations.get(split, []),
            'categories': categories_of(self.label_space, things_only=True),
        }
        name = self.annotation_file.format(split=SPLITS[split])
        write_annotations(self.root / name, content)


class YouTubeVIS2021Writer(YouTubeVISWriter):
    """YouTube-VIS 2021: the same with annotations in ``{train,valid}/instances.json``."""

    annotation_file = '{split}/instances.json'


def _annotation(sample: ShapesSample, row: int, video_id: int, category_id: int) -> dict[str, Any]:
    """The entry of one object; ``None`` where it is not seen."""
    masks: list[np.ndarray] = list(sample.segment_map == row + 1)
    seen = [mask.any() for mask in masks]
    return {
        'id': video_id * IDS_PER_VIDEO + int(sample.object_ids[row]),
        'video_id': video_id,
        'category_id': category_id,
        'iscrowd': 0,
        'segmentations': [run_lengths(m) if s else None for m, s in zip(masks, seen, strict=True)],
        'bboxes': [box_of(m) if s else None for m, s in zip(masks, seen, strict=True)],
        'areas': [int(m.sum()) if s else None for m, s in zip(masks, seen, strict=True)],
    }
