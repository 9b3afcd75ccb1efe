"""COCO instance format: one JSON file of polygons or run-length codes, and a folder of images."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pycocotools import mask as coco_mask

from seg.datasets.clip_dataset import ClipDataset, Pipeline
from seg.datasets.coco_files import (
    CROWD,
    IMAGE_FIELDS,
    CocoCategories,
    check_image_size,
    digest_annotations,
    has_any,
    read_coco_json,
    read_named_image,
    usable_rows,
)
from seg.datasets.index import Column, Index, cached_index
from seg.datasets.json_fields import (
    ANYTHING,
    BOX,
    IDENTITY,
    INTEGER,
    Fields,
    check_fields,
    entries_by_id,
    entry_name,
    shown,
)
from seg.datasets.run_length import decode_run_length
from seg.datasets.samples import image_sample, segments, stack_masks
from seg.registry import DATASETS
from seg.structures import Task
from seg.utils.checks import UserError

KIND, VERSION = 'coco_instance', 3
"""Names the index of this format, and the version of its columns."""

ANNOTATION_FIELDS: Fields = {
    'image_id': IDENTITY,
    'category_id': INTEGER,
    'segmentation': ANYTHING,  # looked at when it is drawn
}
ANNOTATION_OPTIONS: Fields = {**CROWD, 'bbox': BOX}

_FAR = 10
"""How far from the image the points of a polygon may be, in sides of the image."""


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
        UserError: If it is neither, a polygon has fewer than three points or points far away, or
            the code is of another size or does not cover the image.
    """
    height, width = size
    if isinstance(segmentation, Mapping):
        got = segmentation.get('size')
        if got not in ([height, width], (height, width)) or 'counts' not in segmentation:
            raise UserError(
                f'{where}: expected a run-length code with counts and size [{height}, {width}], '
                f'got size {shown(got)}; draw the mask at the size of the image'
            )
        return decode_run_length(segmentation, where)
    polygons = segmentation if isinstance(segmentation, list) else []
    if not polygons or not all(_is_polygon(polygon, size) for polygon in polygons):
        raise UserError(
            f'{where}: expected polygons of at least three points near the image or a run-length '
            f"code in 'segmentation', got {shown(segmentation)}; remove the annotation or draw "
            'its mask'
        )
    codes = coco_mask.frPyObjects(polygons, height, width)
    return coco_mask.decode(coco_mask.merge(codes)).astype(bool)


def _is_polygon(polygon: Any, size: Sequence[int]) -> bool:
    """Whether a value is [x1, y1, x2, y2, ...] that can be drawn.

    Drawing costs as many steps as the outline is long, so points must not be far from the image.
    """
    if not isinstance(polygon, list) or len(polygon) < 6 or len(polygon) % 2:
        return False
    far = _FAR * max(size)
    return all(type(value) in (int, float) and -far <= value <= far for value in polygon)


def load_instance_index(ann_file: Path) -> Index:
    """The index of an annotation file, from the cache; two data sets over one file share it.

    Image ``i`` has the annotations ``offsets[i]:offsets[i + 1]``. Columns per image: ``img_ids``
    (JSON texts), ``sizes`` (H, W), ``img_files``; per annotation: ``category_ids`` (the file's),
    ``is_crowd``, ``boxes`` (xywh, NaN where there is none), ``segmentations`` (JSON texts ``[id,
    segmentation]``, parsed when needed).

    Raises:
        FileNotFoundError: If there is no such file.
        UserError: If a field is missing or malformed, an image's id occurs twice, or an annotation
            names an unknown image or category.
    """
    digest = digest_annotations(ann_file)
    return cached_index(KIND, VERSION, ann_file, digest, lambda: _build_index(ann_file))


def _build_index(ann_file: Path) -> Index:
    content = read_coco_json(ann_file)
    known = set(CocoCategories.all_things(content['categories'], ann_file).ids)
    images = entries_by_id(content['images'], IMAGE_FIELDS, ann_file, 'image', 'images')
    of_image: dict[Any, list[Mapping[str, Any]]] = {image_id: [] for image_id in images}
    for place, annotation in enumerate(content['annotations']):
        where = entry_name(annotation, 'annotation', 'annotations', place)
        of_image[_check_annotation(annotation, of_image, known, ann_file, where)].append(annotation)
    per_image = list(of_image.values())
    rows = [annotation for annotations in per_image for annotation in annotations]
    sizes = [(image['height'], image['width']) for image in content['images']]
    columns: dict[str, Column] = {
        'img_ids': [json.dumps(image['id']) for image in content['images']],
        'sizes': np.array(sizes, dtype=np.int32).reshape(-1, 2),
        'img_files': [image['file_name'] for image in content['images']],
        'offsets': np.cumsum([0, *map(len, per_image)], dtype=np.int64),
        'category_ids': np.array([row['category_id'] for row in rows], dtype=np.int64),
        'is_crowd': np.array([bool(row.get('iscrowd', 0)) for row in rows], dtype=bool),
        'boxes': np.array([_box(row) for row in rows], dtype=np.float32).reshape(-1, 4),
        'segmentations': [
            json.dumps([row.get('id', 'without id'), row['segmentation']]) for row in rows
        ],
    }
    return Index(columns, {'categories': content['categories']})


def _box(annotation: Mapping[str, Any]) -> list[float]:
    """The field ``bbox`` of an annotation, xywh; NaN where there is none."""
    box = annotation.get('bbox')
    return [np.nan] * 4 if box is None else box


def box_agreement(mask: np.ndarray, box: Sequence[float]) -> float:
    """IoU of the box of an annotation with the tight box around its mask, in [0, 1].

    Args:
        mask: (H, W), bool, not empty.
        box: xywh, pixels; without numbers (NaN) there is nothing to disagree with.
    """
    if np.isnan(box).any():
        return 1.0
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    x0, y0, x1, y1 = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    x, y, width, height = box
    overlap = max(0.0, min(x1, x + width) - max(x0, x)) * max(0.0, min(y1, y + height) - max(y0, y))
    return float(overlap / ((x1 - x0) * (y1 - y0) + width * height - overlap))


def _check_annotation(
    annotation: Any, images: Mapping[Any, Any], categories: set[int], source: Path, where: str
) -> Any:
    """Check what an annotation points at; returns its image id."""
    check_fields(annotation, ANNOTATION_FIELDS, source, where, ANNOTATION_OPTIONS)
    image_id, category = annotation['image_id'], annotation['category_id']
    if image_id not in images:
        raise UserError(
            f"{source}: expected image_id of {where} to be one of the ids in 'images', "
            f'got {image_id}; add the image or remove the annotation'
        )
    if category not in categories:
        raise UserError(
            f'{source}: expected category_id of {where} to be one of the ids in '
            f"'categories', got {category}; add the category or mend the annotation"
        )
    return image_id


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
        min_box_iou: Leave out instances whose field ``bbox`` and mask disagree: those with a
            smaller IoU of that box with the tight box around the mask, in [0, 1]. A warning
            tells, once, where that leaves nothing of an image.
        test_mode: Whether every image is kept.
        dataset_name: Name noted in the samples.
        seed: See :class:`ClipDataset`.
        max_bad_samples: See :class:`ClipDataset`.
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
        min_box_iou: float = 0.0,
        test_mode: bool = False,
        dataset_name: str = 'coco_instance',
        seed: int = 0,
        max_bad_samples: int = 0,
    ) -> None:
        if not 0 <= min_box_iou <= 1:
            raise UserError(f'min_box_iou: expected a number in [0, 1], got {min_box_iou}')
        self.min_box_iou = min_box_iou
        self.ann_file, self.img_dir = Path(ann_file), Path(img_dir)
        self.index = load_instance_index(self.ann_file)
        categories = CocoCategories.all_things(
            self.index.meta['categories'], self.ann_file, classes
        )
        metainfo = {**categories.metainfo, 'dataset_name': dataset_name}
        super().__init__(
            task, pipeline, metainfo, seed, test_mode=test_mode, max_bad_samples=max_bad_samples
        )
        self.labels = categories.labels
        self.rows = self._chosen_rows(filter_empty and not test_mode, 0 if test_mode else min_size)

    def _chosen_rows(self, filter_empty: bool, min_size: int) -> np.ndarray:
        """Images of the index that are samples of this data set, (S,)."""
        index = self.index
        keep = index['sizes'].min(axis=1, initial=1 << 30) >= min_size
        if filter_empty:
            counts = ~index['is_crowd'] & np.isin(index['category_ids'], list(self.labels))
            keep &= has_any(counts, index['offsets'])
        return usable_rows(keep, self.ann_file)

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.rows)

    def load(self, index: int) -> dict[str, Any]:
        """Read one image with its instances.

        Raises:
            FileNotFoundError: If the image is missing.
            UserError: If it is broken, its size disagrees with the file, or a mask is malformed.
        """
        row = int(self.rows[index])
        img_id = json.loads(self.index.texts('img_ids')[row])
        size = tuple(self.index['sizes'][row].tolist())
        img_path = self.img_dir / self.index.texts('img_files')[row]
        image = read_named_image(img_path, self.ann_file, img_id)
        check_image_size(img_path, image.shape[:2], size, self.ann_file)
        known = self._load_instances(row, size)
        return image_sample(image, known, img_id, img_path, self.metainfo['dataset_name'])

    def _load_instances(self, row: int, size: tuple[int, ...]) -> dict[str, torch.Tensor]:
        """Masks, labels, ids (1..N) and crowd flags of one image."""
        codes = self.index.texts('segmentations')
        masks, labels, crowd = [], [], []
        num_disagreeing = 0
        for place in range(*self.index['offsets'][row : row + 2].tolist()):
            label = self.labels.get(int(self.index['category_ids'][place]))
            if label is None:
                continue
            name, code = json.loads(codes.raw(place))
            mask = decode_segmentation(code, size, f'{self.ann_file}: annotation {name}')
            box = self.index['boxes'][place]
            if not mask.any():
                continue
            if box_agreement(mask, box) < self.min_box_iou:
                num_disagreeing += 1
                continue
            masks.append(mask)
            labels.append(label)
            crowd.append(bool(self.index['is_crowd'][place]))
        if num_disagreeing and not masks:
            warnings.warn(
                f'{self.ann_file}: some images are left without an annotation, as all of theirs '
                f"disagree with their 'bbox' (min_box_iou={self.min_box_iou}); it should be "
                '[x, y, width, height], pixels',
                stacklevel=2,
            )
        ids = np.arange(1, len(masks) + 1)
        return segments(stack_masks(masks, size), labels, ids, crowd)
