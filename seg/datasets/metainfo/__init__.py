"""The classes of the supported data sets, by name."""

from __future__ import annotations

from seg.datasets.label_space import LabelSpace, join_label_spaces
from seg.datasets.metainfo.bdd100k import BDD100K
from seg.datasets.metainfo.cityscapes import CITYSCAPES
from seg.datasets.metainfo.coco_panoptic import COCO_PANOPTIC, COCO_PHRASES
from seg.datasets.metainfo.vipseg import VIPSEG
from seg.datasets.metainfo.youtube_vis import YOUTUBE_VIS_2019, YOUTUBE_VIS_2021
from seg.utils.checks import UserError, unknown_name_message

__all__ = [
    'BDD100K',
    'CITYSCAPES',
    'COCO_PANOPTIC',
    'COCO_PHRASES',
    'LABEL_SPACES',
    'VIPSEG',
    'YOUTUBE_VIS_2019',
    'YOUTUBE_VIS_2021',
    'find_label_space',
    'label_space_parts',
]

LABEL_SPACES = {
    space.name: space
    for space in (COCO_PANOPTIC, YOUTUBE_VIS_2019, YOUTUBE_VIS_2021, VIPSEG, CITYSCAPES, BDD100K)
}


def find_label_space(name: str) -> LabelSpace:
    """Look up a label space, or join several.

    Args:
        name: Such as ``'coco_panoptic'``, or ``'coco_panoptic+youtube_vis_2019'`` for the joint
            list of the two.

    Raises:
        UserError: If one of them is unknown; the message lists the names and the nearest one.
    """
    spaces = label_space_parts(name)
    return spaces[0] if len(spaces) == 1 else join_label_spaces(spaces).space


def label_space_parts(name: str) -> list[LabelSpace]:
    """The label spaces that a name with ``+`` joins, see :func:`find_label_space`.

    Raises:
        UserError: If one of them is unknown.
    """
    parts = [part.strip() for part in name.split('+')]
    unknown = [part for part in parts if part not in LABEL_SPACES]
    if unknown:
        raise UserError(unknown_name_message('label space', unknown[0], LABEL_SPACES))
    return [LABEL_SPACES[part] for part in parts]
