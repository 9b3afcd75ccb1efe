"""BDD100K semantic segmentation: images beside PNG files of 19 classes, or of their colours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from seg.datasets.clip_dataset import ClipDataset, Pipeline
from seg.datasets.frame_folders import check_map_size, read_map_of
from seg.datasets.imaging import read_image
from seg.datasets.metainfo import BDD100K
from seg.datasets.paired_files import index_pairs
from seg.datasets.samples import image_sample, masks_of_ids, segments
from seg.registry import DATASETS
from seg.structures import Task
from seg.structures.panoptic_ids import decode_panoptic
from seg.utils.checks import UserError, unknown_name_message

IGNORED = 255
"""Pixels of no class."""

LABEL_FOLDERS = ('masks', 'colormaps')
ENDINGS = ('', '_train_id')
"""What may follow an image's name in the name of its PNG file."""


@DATASETS.register_module()
class BDD100KDataset(ClipDataset):
    """Street scenes with 19 classes; every class that an image shows is one segment.

    There are no instances, so all classes are stuff, in the order of the published train ids:
    label ``k`` is value ``k`` of the PNG files. Object ids are ``k + 1``.

    Args:
        root: Folder with ``images/10k`` and ``labels/sem_seg``.
        split: ``'train'`` or ``'val'``; there are no public labels of ``'test'``.
        task: What the samples ask of the model.
        pipeline: Transforms or their configs.
        labels: ``'masks'`` (values 0..18 and 255) or ``'colormaps'`` (colours, black is ignored).
        test_mode: Whether the samples are for evaluation.
        dataset_name: Name noted in the samples.
        seed: See :class:`ClipDataset`.
        max_bad_samples: See :class:`ClipDataset`.

    Raises:
        FileNotFoundError: If a folder is missing.
        UserError: If images and labels do not pair up.
    """

    def __init__(
        self,
        root: str | Path,
        split: str,
        task: Task | str,
        pipeline: Pipeline,
        *,
        labels: str = 'masks',
        test_mode: bool = False,
        dataset_name: str = 'bdd100k',
        seed: int = 0,
        max_bad_samples: int = 0,
    ) -> None:
        if labels not in LABEL_FOLDERS:
            raise UserError(unknown_name_message('labels of BDD100K', labels, LABEL_FOLDERS))
        metainfo = {**BDD100K.metainfo(), 'dataset_name': dataset_name}
        super().__init__(
            task, pipeline, metainfo, seed, test_mode=test_mode, max_bad_samples=max_bad_samples
        )
        self.img_dir = Path(root) / 'images' / '10k' / split
        self.label_dir = Path(root) / 'labels' / 'sem_seg' / labels / split
        self.has_colors = labels == 'colormaps'
        self.index = index_pairs(f'bdd100k-{labels}', self.img_dir, self.label_dir, ENDINGS)

    def __len__(self) -> int:
        """Number of images."""
        return len(self.index.texts('images'))

    def load(self, index: int) -> dict[str, Any]:
        """Read one image with its classes.

        Raises:
            FileNotFoundError: If a file is missing.
            UserError: If a file is broken, sizes differ, or a value or colour means no class.
        """
        img_path = self.img_dir / self.index.texts('images')[index]
        label_path = self.label_dir / self.index.texts('maps')[index]
        image = read_image(img_path)
        values = read_class_map(label_path, image.shape[:2], self.has_colors)
        shown = np.setdiff1d(values, IGNORED)
        known = segments(masks_of_ids(values[None], shown), shown.tolist(), shown + 1)
        return image_sample(image, known, img_path.stem, img_path, self.metainfo['dataset_name'])


def read_class_map(path: Path, size: tuple[int, ...], has_colors: bool) -> np.ndarray:
    """Read the classes of an image, 255 where there is none.

    Args:
        path: The PNG file.
        size: (H, W) of the image.
        has_colors: Whether it shows the classes' colours instead of their numbers.

    Returns:
        (H, W), int32.

    Raises:
        FileNotFoundError: If there is no such file.
        UserError: If it is broken, of another size, or has a value or colour of no class.
    """
    if has_colors:
        return _read_colors(path, size)
    values = read_map_of(path, size)
    shown = np.setdiff1d(values, IGNORED)
    if strange := [value for value in shown.tolist() if value >= BDD100K.num_classes]:
        raise UserError(
            f'{path}: expected classes 0..{BDD100K.num_classes - 1} or {IGNORED}, got '
            f'{strange[:5]}; use the train ids of labels/sem_seg/masks'
        )
    return values


def _read_colors(path: Path, size: tuple[int, ...]) -> np.ndarray:
    """Classes of a picture of their colours, (H, W), int32."""
    colors = decode_panoptic(read_image(path))
    check_map_size(path, colors.shape, size)
    found, places = np.unique(colors, return_inverse=True)
    known = {
        red + 256 * green + 65536 * blue: label
        for label, (red, green, blue) in enumerate(info.color for info in BDD100K.classes)
    }
    known[0] = IGNORED
    if strange := [value for value in found.tolist() if value not in known]:
        shown = [(c % 256, c // 256 % 256, c // 65536) for c in strange[:3]]
        raise UserError(
            f'{path}: expected the colours of the {BDD100K.num_classes} classes or black, got '
            f'{shown}; save the colour map without loss or smoothing, or use labels="masks"'
        )
    labels = np.array([known[value] for value in found.tolist()], dtype=np.int32)
    return labels[places].reshape(colors.shape)
