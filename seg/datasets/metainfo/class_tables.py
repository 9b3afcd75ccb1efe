"""Which class of one data set is which of another."""

from __future__ import annotations

from collections.abc import Mapping

from seg.datasets.label_space import LabelSpace
from seg.datasets.metainfo.bdd100k import BDD100K
from seg.datasets.metainfo.cityscapes import CITYSCAPES
from seg.datasets.metainfo.coco_panoptic import COCO_PANOPTIC
from seg.utils.checks import UserError, unknown_name_message

NO_CLASS = -1
"""Entry of a table for a class that the other data set does not have."""


def class_table(
    source: LabelSpace, target: LabelSpace, others: Mapping[str, str] | None = None
) -> tuple[int, ...]:
    """Class of the target for every class of the source, :data:`NO_CLASS` for none.

    Args:
        source: Classes to translate.
        target: What they become.
        others: Pairs of names beyond those that are the same in both.

    Raises:
        UserError: If a name is unknown.
    """
    others = dict(others or {})
    for name, space in [(name, source) for name in others] + [(n, target) for n in others.values()]:
        if name not in space.class_names:
            raise UserError(unknown_name_message(f'class of {space.name}', name, space.class_names))
    labels = {name: label for label, name in enumerate(target.class_names)}
    return tuple(labels.get(others.get(name, name), NO_CLASS) for name in source.class_names)


_COCO_NAMES_OF_BDD100K = {
    'pavement-merged': 'sidewalk',
    'building-other-merged': 'building',
    'house': 'building',
    'wall-brick': 'wall',
    'wall-stone': 'wall',
    'wall-tile': 'wall',
    'wall-wood': 'wall',
    'wall-other-merged': 'wall',
    'fence-merged': 'fence',
    'stop sign': 'traffic sign',
    'tree-merged': 'vegetation',
    'grass-merged': 'terrain',
    'dirt-merged': 'terrain',
    'sky-other-merged': 'sky',
}

CLASS_TABLES = {
    'cityscapes_to_bdd100k': class_table(CITYSCAPES, BDD100K),
    'coco_panoptic_to_bdd100k': class_table(COCO_PANOPTIC, BDD100K, _COCO_NAMES_OF_BDD100K),
}
"""Tables by name. COCO has neither poles nor riders, and of the signs it has only one."""


def find_class_table(name: str) -> tuple[int, ...]:
    """Look up a table.

    Raises:
        UserError: If there is none of that name.
    """
    if name not in CLASS_TABLES:
        raise UserError(unknown_name_message('class table', name, CLASS_TABLES))
    return CLASS_TABLES[name]
