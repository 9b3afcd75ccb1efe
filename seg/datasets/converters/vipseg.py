"""Shapes as VIPSeg."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from seg.datasets.converters.base import (
    SHAPES_SPACE,
    ShapesWriter,
    relabeled,
    write_jpeg,
    write_png,
    write_text,
)
from seg.datasets.label_space import LabelSpace
from seg.datasets.metainfo import VIPSEG
from seg.datasets.shapes import SHAPES_STUFF, SHAPES_THINGS, ShapesSample

_CLASSES = (
    VIPSEG.things[: len(SHAPES_THINGS)] + VIPSEG.stuff[2 : 2 + len(SHAPES_STUFF)]
)  # without class 2, whose value would be read as that of the known error


class VIPSegWriter(ShapesWriter):
    """VIPSeg: every segment, under the first classes of VIPSeg, whose list is fixed.

    Thing ``k`` of a class is 100 times the class plus its object id.
    """

    is_video = True
    classes = tuple(info.name for info in _CLASSES)

    def __init__(self, root: Path, label_space: LabelSpace = SHAPES_SPACE) -> None:
        super().__init__(root, label_space)
        self.videos: dict[str, list[str]] = {}

    def add(self, split: str, index: int, sample: ShapesSample) -> None:
        """Write frames and PNG files of panoptic values."""
        video = f'{split}_{index:05d}'
        self.videos.setdefault(split, []).append(video)
        values = relabeled(sample, vipseg_values(sample)).astype(np.uint16)
        for t, frame in enumerate(sample.clip):
            write_jpeg(self.root / 'images' / video / f'{t:08d}.jpg', frame)
            write_png(self.root / 'panomasks' / video / f'{t:08d}.png', values[t])

    def finish(self, split: str) -> None:
        """Write the list of videos."""
        text = ''.join(f'{video}\n' for video in self.videos.get(split, []))
        write_text(self.root / f'{split}.txt', text)


def vipseg_values(sample: ShapesSample) -> list[int]:
    """Value of each segment in the PNG files."""
    values = []
    for row, label in enumerate(sample.labels.tolist()):
        category = _CLASSES[label].category_id
        number = int(sample.object_ids[row])
        values.append(100 * category + number if sample.is_thing[row] else category)
    return values
