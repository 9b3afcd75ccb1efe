"""Shapes in the layouts and at the places that the configs of joint training read."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from seg.datasets.converters.base import SHAPES_SPACE, ShapesWriter
from seg.datasets.converters.cityscapes import CityscapesWriter
from seg.datasets.converters.coco import CocoPanopticWriter
from seg.datasets.converters.davis import DavisWriter
from seg.datasets.converters.refcoco import REFS_FILE, RefCocoWriter
from seg.datasets.converters.sa1b import SA1BWriter
from seg.datasets.converters.vipseg import VIPSegWriter
from seg.datasets.converters.write_shapes import write_shapes
from seg.datasets.converters.youtube_vis import YouTubeVIS2021Writer, YouTubeVISWriter
from seg.datasets.metainfo import find_label_space

MIXTURE: dict[str, tuple[type[ShapesWriter], str | None]] = {
    'coco': (CocoPanopticWriter, 'coco_panoptic'),
    'youtube_vis_2019': (YouTubeVISWriter, 'youtube_vis_2019'),
    'youtube_vis_2021': (YouTubeVIS2021Writer, 'youtube_vis_2021'),
    'davis': (DavisWriter, None),
    'vipseg': (VIPSegWriter, None),
    'cityscapes': (CityscapesWriter, 'cityscapes'),
    'sa1b': (SA1BWriter, None),
    'refcoco/refcoco': (RefCocoWriter, 'coco_panoptic'),
}
"""Folder below ``data`` -> layout, and whose classes stand for those of Shapes."""

_OTHER_REFS = ('refcoco+/refs(unc).p', 'refcocog/refs(umd).p')


def write_mixture(
    out: Path, num: int, *, num_frames: int = 8, size: tuple[int, int] = (128, 160)
) -> Iterator[str]:
    """Write Shapes as all data sets of ``configs/_base_/datasets`` that are trained on together.

    Each data set has other samples. The refs of RefCOCO stand for those of RefCOCO+ and RefCOCOg,
    and its images are also found in ``coco/train2014``.

    Args:
        out: Folder that takes the place of ``data``; those of the data sets in it have to be new
            or empty.
        num: Samples of each split and data set.
        num_frames: Frames of a video.
        size: Height and width.

    Returns:
        The folder of each sample after it was written; all is complete at the end.

    Raises:
        UserError: If a folder holds something or cannot be written to, or a number is too small.
    """
    steps = {}
    for seed, (folder, (writer, name)) in enumerate(MIXTURE.items()):
        space = SHAPES_SPACE if name is None else find_label_space(name)
        steps[folder] = write_shapes(
            writer,
            out / folder,
            num,
            num_frames=num_frames,
            seed=seed,
            size=size,
            label_space=space,
        )
    return _write_all(out, steps)


def _write_all(out: Path, steps: dict[str, Iterator[str]]) -> Iterator[str]:
    for folder, writing in steps.items():
        for _ in writing:
            yield folder
    (out / 'coco/train2014').symlink_to(Path('../refcoco/refcoco/train2014'))
    for name in _OTHER_REFS:
        target = out / 'refcoco' / name
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(out / 'refcoco/refcoco' / REFS_FILE, target)
