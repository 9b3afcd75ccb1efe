"""Cityscapes: COCO panoptic files beside images in one folder per city."""

from __future__ import annotations

import json
from pathlib import Path

from seg.datasets.coco_panoptic import CocoPanopticDataset
from seg.registry import DATASETS
from seg.utils.checks import UserError


def city_image_file(image_id: object, source: Path) -> str:
    """Path of an image below ``leftImg8bit/{split}``.

    Args:
        image_id: Such as ``'aachen_000000_000019'``.
        source: The annotation file, for messages.

    Raises:
        UserError: If the id names no city.
    """
    city, mark, _ = str(image_id).partition('_')
    if not mark:
        raise UserError(
            f"{source}: expected ids like 'aachen_000000_000019' in 'images', got "
            f'{image_id!r}; make the file with csCreatePanopticImgs of cityscapesScripts'
        )
    return f'{city}/{image_id}_leftImg8bit.png'


@DATASETS.register_module()
class CityscapesDataset(CocoPanopticDataset):
    """Street scenes with 8 things and 11 stuff classes.

    Reads what cityscapesScripts' ``csCreatePanopticImgs`` writes. The file names in its JSON are
    those of no file, so images are found by their ids: ``aachen_000000_000019`` is
    ``aachen/aachen_000000_000019_leftImg8bit.png`` below ``img_dir``.

    The arguments are those of :class:`CocoPanopticDataset`.
    """

    def image_file(self, row: int) -> str:
        """Path of an image below ``img_dir``.

        Args:
            row: Its row in the index.

        Raises:
            UserError: If its id names no city.
        """
        return city_image_file(json.loads(self.index.texts('img_ids')[row]), self.ann_file)
