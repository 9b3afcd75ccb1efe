"""Shapes as DAVIS 2017."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from seg.datasets.converters.base import (
    SHAPES_SPACE,
    ShapesWriter,
    relabeled,
    write_jpeg,
    write_png,
    write_text,
)
from seg.datasets.label_space import LabelSpace
from seg.datasets.shapes import ShapesSample
from seg.visualization.palettes import voc_color

RESOLUTIONS = ('480p', 'Full-Resolution')


def palette_image(ids: np.ndarray) -> Image.Image:
    """A map of ids (H, W), 0..255, as a palette image in the colours of DAVIS."""
    image = Image.fromarray(ids.astype(np.uint8), mode='P')
    image.putpalette([value for index in range(256) for value in voc_color(index)])
    return image


class DavisWriter(ShapesWriter):
    """DAVIS 2017: things with their object ids; stuff is background.

    Both resolutions have the same size.
    """

    is_video = True

    def __init__(self, root: Path, label_space: LabelSpace = SHAPES_SPACE) -> None:
        super().__init__(root, label_space)
        self.videos: dict[str, list[str]] = {}

    def add(self, split: str, index: int, sample: ShapesSample) -> None:
        """Write frames and palette PNG files."""
        video = f'shapes-{split}-{index:05d}'
        self.videos.setdefault(split, []).append(video)
        ids = relabeled(sample, np.where(sample.is_thing, sample.object_ids, 0).tolist())
        for resolution in RESOLUTIONS:
            images = self.root / 'JPEGImages' / resolution / video
            masks = self.root / 'Annotations' / resolution / video
            for t, frame in enumerate(sample.clip):
                write_jpeg(images / f'{t:05d}.jpg', frame)
                write_png(masks / f'{t:05d}.png', palette_image(ids[t]))

    def finish(self, split: str) -> None:
        """Write the list of sequences."""
        videos = self.videos.get(split, [])
        path = self.root / 'ImageSets' / '2017' / f'{split}.txt'
        write_text(path, ''.join(f'{video}\n' for video in videos))
