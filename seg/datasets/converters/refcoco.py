"""Shapes as RefCOCO."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

from seg.datasets.converters.base import (
    SHAPES_SPACE,
    categories_of,
    things_of,
    write_annotations,
    write_jpeg,
)
from seg.datasets.converters.coco import CocoInstanceWriter
from seg.datasets.label_space import LabelSpace
from seg.datasets.shapes import ShapesSample
from seg.utils.atomic_write import write_bytes_atomically

REFS_FILE = 'refs(unc).p'
_FIRST_ID = {'train': 1, 'val': 500_001}
"""Both splits are in one file, so their images are told apart by their ids."""


class RefCocoWriter(CocoInstanceWriter):
    """RefCOCO: things, and a ref for each that has an expression; pickled as it is published."""

    def __init__(self, root: Path, label_space: LabelSpace = SHAPES_SPACE) -> None:
        super().__init__(root, label_space)
        self.refs: list[dict[str, Any]] = []

    def add(self, split: str, index: int, sample: ShapesSample) -> None:
        """Write the image, note its things and what they are called."""
        height, width = sample.clip.shape[1:3]
        image_id = _FIRST_ID[split] + index
        name = f'COCO_train2014_{image_id:012d}.jpg'
        write_jpeg(self.root / 'train2014' / name, sample.clip[0])
        self.images.setdefault('all', []).append(
            {'id': image_id, 'file_name': name, 'height': height, 'width': width}
        )
        for row, ann_id in zip(
            things_of(sample), self.add_things('all', image_id, sample), strict=True
        ):
            text = sample.expressions[row]
            if text is not None:
                self.refs.append(self._ref(split, image_id, ann_id, name, text))

    def _ref(self, split: str, image_id: int, ann_id: int, name: str, text: str) -> dict[str, Any]:
        number = len(self.refs)
        sentence = {'sent_id': number, 'sent': text, 'raw': text, 'tokens': text.split()}
        return {
            'ref_id': number,
            'ann_id': ann_id,
            'image_id': image_id,
            'category_id': self.annotations['all'][ann_id - 1]['category_id'],
            'file_name': name.replace('.jpg', f'_{ann_id}.jpg'),
            'split': split,
            'sent_ids': [number],
            'sentences': [sentence],
        }

    def finish(self, split: str) -> None:
        """Write the annotations and refs of the splits so far."""
        content = {
            'images': self.images.get('all', []),
            'annotations': self.annotations.get('all', []),
            'categories': categories_of(self.label_space, things_only=True),
        }
        write_annotations(self.root / 'instances.json', content)
        write_bytes_atomically(self.root / REFS_FILE, pickle.dumps(self.refs, protocol=2))
