"""Shapes in the on-disk layouts of the supported data sets."""

from seg.datasets.converters.base import ShapesWriter
from seg.datasets.converters.coco import CocoInstanceWriter, CocoPanopticWriter
from seg.datasets.converters.davis import DavisWriter
from seg.datasets.converters.write_shapes import write_shapes
from seg.datasets.converters.youtube_vis import YouTubeVISWriter

WRITERS: dict[str, type[ShapesWriter]] = {
    'coco_panoptic': CocoPanopticWriter,
    'coco_instance': CocoInstanceWriter,
    'youtube_vis': YouTubeVISWriter,
    'davis': DavisWriter,
}
"""The layouts by the name that ``tools/dataset_converters/shapes_to.py`` has for them."""

__all__ = [
    'WRITERS',
    'CocoInstanceWriter',
    'CocoPanopticWriter',
    'DavisWriter',
    'ShapesWriter',
    'YouTubeVISWriter',
    'write_shapes',
]
