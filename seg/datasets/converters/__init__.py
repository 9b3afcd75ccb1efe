"""Shapes in the on-disk layouts of the supported data sets."""

from seg.datasets.converters.base import ShapesWriter
from seg.datasets.converters.bdd100k import BDD100KWriter
from seg.datasets.converters.cityscapes import CityscapesWriter
from seg.datasets.converters.coco import CocoInstanceWriter, CocoPanopticWriter
from seg.datasets.converters.davis import DavisWriter
from seg.datasets.converters.folders import FoldersWriter
from seg.datasets.converters.mixture import MIXTURE, write_mixture
from seg.datasets.converters.refcoco import RefCocoWriter
from seg.datasets.converters.sa1b import SA1BWriter
from seg.datasets.converters.vipseg import VIPSegWriter
from seg.datasets.converters.write_shapes import write_shapes
from seg.datasets.converters.youtube_vis import YouTubeVIS2021Writer, YouTubeVISWriter

WRITERS: dict[str, type[ShapesWriter]] = {
    'coco_panoptic': CocoPanopticWriter,
    'coco_instance': CocoInstanceWriter,
    'youtube_vis': YouTubeVISWriter,
    'youtube_vis_2021': YouTubeVIS2021Writer,
    'davis': DavisWriter,
    'vipseg': VIPSegWriter,
    'cityscapes': CityscapesWriter,
    'refcoco': RefCocoWriter,
    'sa1b': SA1BWriter,
    'bdd100k': BDD100KWriter,
    'folders': FoldersWriter,
}
"""The layouts by the name that ``tools/dataset_converters/shapes_to.py`` has for them."""

__all__ = [
    'MIXTURE',
    'WRITERS',
    'BDD100KWriter',
    'CityscapesWriter',
    'CocoInstanceWriter',
    'CocoPanopticWriter',
    'DavisWriter',
    'FoldersWriter',
    'RefCocoWriter',
    'SA1BWriter',
    'ShapesWriter',
    'VIPSegWriter',
    'YouTubeVIS2021Writer',
    'YouTubeVISWriter',
    'write_mixture',
    'write_shapes',
]
