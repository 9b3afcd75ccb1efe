"""Images in one folder, masks in another: ``images/{split}`` and ``masks/{split}``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from seg.datasets.clip_dataset import ClipDataset, Pipeline
from seg.datasets.frame_folders import read_map_of
from seg.datasets.imaging import read_image
from seg.datasets.paired_files import index_pairs
from seg.datasets.samples import image_sample, masks_of_ids, segments
from seg.registry import DATASETS
from seg.structures import Task
from seg.utils.checks import UserError, unknown_name_message
from seg.visualization.palettes import class_palette

MASK_KINDS = ('instances', 'binary')


@DATASETS.register_module()
class FolderDataset(ClipDataset):
    """Images with one PNG file of objects each, all of one class.

    An image may have no object. Object ids are the values of the instances, 1 for binary masks.

    Args:
        root: Folder with ``images`` and ``masks``.
        split: Folder below each of them.
        task: What the samples ask of the model.
        pipeline: Transforms or their configs.
        mask_kind: ``'instances'``: every value but 0 is an object (so a mask of 0 and 255 has
            one); grey of 8 or 16 bits, or a palette. ``'binary'``: 0 and 255, with values in
            between cut at 127, as smoothed borders have them; grey of 8 bits.
        class_name: What the objects are.
        test_mode: Whether the samples are for evaluation.
        dataset_name: Name noted in the samples.
        seed: See :class:`ClipDataset`.
        max_bad_samples: See :class:`ClipDataset`.

    Raises:
        FileNotFoundError: If a folder is missing.
        UserError: If images and masks do not pair up by their names.
    """

    def __init__(
        self,
        root: str | Path,
        split: str,
        task: Task | str,
        pipeline: Pipeline,
        *,
        mask_kind: str = 'instances',
        class_name: str = 'object',
        test_mode: bool = False,
        dataset_name: str = 'folders',
        seed: int = 0,
        max_bad_samples: int = 0,
    ) -> None:
        if mask_kind not in MASK_KINDS:
            raise UserError(unknown_name_message('mask_kind', mask_kind, MASK_KINDS))
        metainfo = {
            'classes': (class_name,),
            'num_things': 1,
            'palette': class_palette(1),
            'dataset_name': dataset_name,
        }
        super().__init__(
            task, pipeline, metainfo, seed, test_mode=test_mode, max_bad_samples=max_bad_samples
        )
        self.img_dir = Path(root) / 'images' / split
        self.mask_dir = Path(root) / 'masks' / split
        self.is_binary = mask_kind == 'binary'
        self.index = index_pairs('folders', self.img_dir, self.mask_dir)

    def __len__(self) -> int:
        """Number of images."""
        return len(self.index.texts('images'))

    def load(self, index: int) -> dict[str, Any]:
        """Read one image with its objects.

        Raises:
            FileNotFoundError: If a file is missing.
            UserError: If a file is broken, sizes differ, or values are of another kind.
        """
        img_path = self.img_dir / self.index.texts('images')[index]
        mask_path = self.mask_dir / self.index.texts('maps')[index]
        image = read_image(img_path)
        values = read_map_of(mask_path, image.shape[:2])
        if self.is_binary:
            values = binary_mask(values, mask_path)
        ids = np.setdiff1d(values, 0)
        known = segments(masks_of_ids(values[None], ids), [0] * len(ids), ids)
        return image_sample(image, known, img_path.stem, img_path, self.metainfo['dataset_name'])


def binary_mask(values: np.ndarray, path: Path) -> np.ndarray:
    """1 where values are above 127, else 0."""
    largest = int(values.max())
    if largest > 255 or 0 < largest <= 127:
        raise UserError(
            f'{path}: expected values from 0 to 255, the object above 127, got at most {largest}; '
            "scale the mask to 0 and 255, or set mask_kind='instances' if its values are ids"
        )
    return (values > 127).astype(np.int32)
