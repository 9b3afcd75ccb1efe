"""COCO instance format: one JSON file of polygons or run-length codes, and a folder of images."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pycocotools import mask as coco_mask

from seg.datasets.clip_dataset import ClipDataset, Pipeline
from seg.datasets.coco_files import (
    CocoCategories,
    check_image_size,
    read_coco_json,
    read_named_image,
    require,
)
from seg.registry import DATASETS
from seg.structures import Task
from seg.utils.checks import UserError


def decode_segmentation(segmentation: Any, size: Sequence[int], where: str) -> np.ndarray:
    """Draw the field ``segmentation`` of an annotation.

    Args:
        segmentation: Polygons ``[[x1, y1, x2, y2, ...], ...]``, or a run-length code
            ``{'size': [H, W], 'counts': list or str}``.
        size: (H, W) of the image.
        where: The annotation, for messages.

    Returns:
        (H, W), bool.

    Raises:
        UserError: If it is neither, a polygon has fewer than three points, or the size of the
            code differs from the image's.
    """
    height, width = size
    if isinstance(segmentation, Mapping):
        if list(segmentation.get('size', ())) != [height, width] or 'counts' not in segmentation:
            raise UserError(
                f'{where}: expected a run-length code with counts and size [{height}, {width}], '
                f'got size {segmentation.get("size")}; draw the mask at the size of the image'
            )
        code: Any = segmentation
        if isinstance(segmentation['counts'], list):
            code = coco_mask.frPyObjects(dict(segmentation), height, width)
        return coco_mask.decode(code).astype(bool)
    polygons = segmentation if isinstance(segmentation, list) else []
    good = [isinstance(p, list) and len(p) >= 6 and len(p) % 2 == 0 for p in polygons]
    if not polygons or not all(good):
        raise UserError(
            f'{where}: expected polygons of at least three points or a run-length code in '
            f"'segmentation', got {str(segmentation)[:60]}; remove the annotation or draw its mask"
        )
    codes = coco_mask.frPyObjects(polygons, height, width)
    return coco_mask.decode(coco_mask.merge(codes)).astype(bool)


@DATASETS.register_module()
class CocoInstanceDataset(ClipDataset):
    """Images with instance masks in COCO format, with the class names of the file.

    There are things only, ``num_things == len(classes)``. Masks may overlap. Instances that cover
    no pixel at all are left out. Masks are drawn when a sample is asked for.

    Args:
        ann_file: JSON file in COCO instance format.
        img_dir: Folder of the images.
        task: What the samples ask of the model.
        pipeline: Transforms or their configs.
        classes: Names to keep, in this order; instances of others are left out; all by default.
        filter_empty: Leave out images without an instance that is no crowd (not in test mode).
        min_size: Leave out images with a shorter side than this, pixels (not in test mode).
        test_mode: Whether every image is kept.
        dataset_name: Name noted in the samples.
        seed: See :class:`ClipDataset`.
    """

    def __init__(
        self,
        ann_file: str | Path,
        img_dir: str | Path,
        task: Task | str,
        pipeline: Pipeline,
        *,
        classes: Sequence[str] | None = None,
        filter_empty: bool = True,
        min_size: int = 32,
        test_mode: bool = False,
        dataset_name: str = 'coco_instance',
        seed: int = 0,
    ) -> None:
        self.ann_file, self.img_dir = Path(ann_file), Path(img_dir)
        content = read_coco_json(self.ann_file)
        categories = CocoCategories.from_json(
            [{**category, 'isthing': 1} for category in content['categories']],
            self.ann_file,
            classes,
        )
        metainfo = {**categories.metainfo, 'dataset_name': dataset_name}
        super().__init__(task, pipeline, metainfo, seed)
        self.labels = categories.labels
        self.images: list[Mapping[str, Any]] = []
        # Annotations of an image as JSON text: a tenth of the memory of the parsed objects.
        self.annotations: list[bytes] = []
        self._index(content, filter_empty and not test_mode, 0 if test_mode else min_size)

    def _index(self, content: Mapping[str, Any], filter_empty: bool, min_size: int) -> None:
        """Choose the images and keep what is needed of them."""
        source = self.ann_file
        known = {category['id'] for category in content['categories']}
        of_image: dict[Any, list[Mapping[str, Any]]] = {
            require(image, 'id', source, 'images'): [] for image in content['images']
        }
        for annotation in content['annotations']:
            image_id = self._check_annotation(annotation, of_image, known)
            if annotation['category_id'] in self.labels:
                of_image[image_id].append(annotation)
        for image in content['images']:
            for key in ('file_name', 'height', 'width'):
                require(image, key, source, f'image {image["id"]}')
            annotations = of_image[image['id']]
            empty = all(annotation.get('iscrowd', 0) for annotation in annotations)
            if (filter_empty and empty) or min(image['height'], image['width']) < min_size:
                continue
            kept = ('id', 'file_name', 'height', 'width')
            self.images.append({key: image[key] for key in kept})
            self.annotations.append(json.dumps(annotations).encode())
        if not self.images:
            raise UserError(
                f'{source}: expected at least one usable image, got none of '
                f'{len(content["images"])}; check the annotations, classes, min_size and '
                'filter_empty'
            )

    def _check_annotation(
        self, annotation: Mapping[str, Any], images: Mapping[Any, Any], categories: set[int]
    ) -> Any:
        """Check what an annotation points at; returns its image id."""
        where = f'annotation {annotation.get("id", "without id")}'
        image_id = require(annotation, 'image_id', self.ann_file, where)
        category = require(annotation, 'category_id', self.ann_file, where)
        require(annotation, 'segmentation', self.ann_file, where)
        if image_id not in images:
            raise UserError(
                f"{self.ann_file}: expected image_id of {where} to be one of the ids in 'images', "
                f'got {image_id}; add the image or remove the annotation'
            )
        if category not in categories:
            raise UserError(
                f'{self.ann_file}: expected category_id of {where} to be one of the ids in '
                f"'categories', got {category}; add the category or mend the annotation"
            )
        return image_id

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.images)

    def load(self, index: int) -> dict[str, Any]:
        """Read one image with its instances.

        Raises:
            FileNotFoundError: If the image is missing.
            UserError: If it is broken, its size disagrees with the file, or a mask is malformed.
        """
        info = self.images[index]
        size = (int(info['height']), int(info['width']))
        img_path = self.img_dir / info['file_name']
        image = read_named_image(img_path, self.ann_file, info['id'])
        check_image_size(img_path, image.shape[:2], size, self.ann_file)
        return {
            'clip': torch.from_numpy(image).permute(2, 0, 1)[None].contiguous(),
            **self._load_instances(index, size),
            'img_id': info['id'],
            'img_path': str(img_path),
            'ori_shape': size,
            'img_shape': size,
            'scale_factor': (1.0, 1.0),
            'dataset_name': self.metainfo['dataset_name'],
        }

    def _load_instances(self, index: int, size: tuple[int, int]) -> dict[str, torch.Tensor]:
        """Masks, labels, ids (1..N) and crowd flags of one image."""
        masks, labels, crowd = [], [], []
        for annotation in json.loads(self.annotations[index]):
            where = f'{self.ann_file}: annotation {annotation.get("id", "without id")}'
            mask = decode_segmentation(annotation['segmentation'], size, where)
            if mask.any():
                masks.append(mask)
                labels.append(self.labels[annotation['category_id']])
                crowd.append(bool(annotation.get('iscrowd', 0)))
        stacked = np.stack(masks) if masks else np.zeros((0, *size), dtype=bool)
        return {
            'masks': torch.from_numpy(stacked)[:, None],
            'labels': torch.tensor(labels, dtype=torch.long),
            'object_ids': torch.arange(1, len(masks) + 1),
            'is_crowd': torch.tensor(crowd, dtype=torch.bool),
        }
