"""COCO panoptic format: one JSON file, a folder of images, a folder of PNG files of segment ids."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

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
    IDENTITY,
    INTEGER,
    LIST,
    TEXT,
    Fields,
    check_fields,
    entries_by_id,
)
from seg.datasets.referring_files import held_out_images
from seg.datasets.samples import image_sample, masks_of_ids, segments
from seg.registry import DATASETS
from seg.structures import Task
from seg.structures.panoptic_ids import decode_panoptic
from seg.utils.checks import UserError

KIND, VERSION = 'coco_panoptic', 2
"""Names the index of this format, and the version of its columns."""

ANNOTATION_FIELDS: Fields = {'image_id': IDENTITY, 'file_name': TEXT, 'segments_info': LIST}
SEGMENT_FIELDS: Fields = {'id': INTEGER, 'category_id': INTEGER}


def load_panoptic_index(ann_file: Path) -> Index:
    """The index of an annotation file, from the cache; two data sets over one file share it.

    Image ``i`` has the segments ``offsets[i]:offsets[i + 1]``. Columns per image: ``img_ids`` (JSON
    texts), ``sizes`` (H, W), ``img_files``, ``seg_files``; per segment: ``segment_ids`` (values in
    the PNG), ``category_ids`` (the file's), ``is_crowd``.

    Raises:
        FileNotFoundError: If there is no such file.
        UserError: If a field is missing or malformed, an id occurs twice, or an annotation names an
            unknown image or category.
    """
    digest = digest_annotations(ann_file)
    return cached_index(KIND, VERSION, ann_file, digest, lambda: _build_index(ann_file))


def _build_index(ann_file: Path) -> Index:
    content = read_coco_json(ann_file)
    images = entries_by_id(content['images'], IMAGE_FIELDS, ann_file, 'image', 'images')
    known = set(CocoCategories.from_json(content['categories'], ann_file).ids)
    img_ids, sizes, img_files, seg_files, offsets = [], [], [], [], [0]
    rows: list[tuple[int, int, bool]] = []
    seen: set[Any] = set()
    for place, annotation in enumerate(content['annotations']):
        where = _annotation_name(annotation, place)
        check_fields(annotation, ANNOTATION_FIELDS, ann_file, where)
        image_id = annotation['image_id']
        if image_id not in images or image_id in seen:
            got = 'a second annotation of it' if image_id in seen else 'an annotation alone'
            raise UserError(
                f"{ann_file}: expected an entry in 'images' for image {image_id}, and one "
                f'annotation, got {got}; add or remove entries'
            )
        seen.add(image_id)
        image = images[image_id]
        img_ids.append(json.dumps(image_id))
        sizes.append((image['height'], image['width']))
        img_files.append(image['file_name'])
        seg_files.append(annotation['file_name'])
        rows += _read_segments(annotation['segments_info'], known, ann_file, where)
        offsets.append(len(rows))
    table = np.array(rows, dtype=np.int64).reshape(-1, 3)
    columns: dict[str, Column] = {
        'img_ids': img_ids,
        'sizes': np.array(sizes, dtype=np.int32).reshape(-1, 2),
        'img_files': img_files,
        'seg_files': seg_files,
        'offsets': np.array(offsets, dtype=np.int64),
        'segment_ids': table[:, 0].copy(),
        'category_ids': table[:, 1].copy(),
        'is_crowd': table[:, 2] != 0,
    }
    return Index(columns, {'categories': content['categories']})


def _annotation_name(annotation: Any, place: int) -> str:
    if isinstance(annotation, Mapping) and IDENTITY.accepts(annotation.get('image_id')):
        return f'the annotation of image {annotation["image_id"]}'
    return f'annotations[{place}]'


def _read_segments(
    entries: Sequence[Any], known: set[int], ann_file: Path, where: str
) -> list[tuple[int, int, bool]]:
    """Id, category and crowd flag of the entries of one ``segments_info``."""
    rows: dict[int, tuple[int, int, bool]] = {}
    for segment in entries:
        check_fields(segment, SEGMENT_FIELDS, ann_file, where, CROWD)
        segment_id, category = segment['id'], segment['category_id']
        if category not in known:
            raise UserError(
                f'{ann_file}: expected category_id of segment {segment_id} in {where} to be one '
                f"of the ids in 'categories', got {category}; add the category or mend the segment"
            )
        if segment_id in rows:
            raise UserError(
                f'{ann_file}: expected every segment id once in {where}, got {segment_id} more '
                'than once; remove or rename the repeated ones'
            )
        rows[segment_id] = segment_id, category, bool(segment.get('iscrowd', 0))
    return list(rows.values())


@DATASETS.register_module()
class CocoPanopticDataset(ClipDataset):
    """Images with every pixel assigned to a thing, a stuff region or void.

    Class names, their order and ``isthing`` come from the file, so any data set in this layout
    works. Crowd regions are segments with ``is_crowd``; void belongs to no segment. Pixels are
    read when a sample is asked for.

    Args:
        ann_file: JSON file in COCO panoptic format.
        img_dir: Folder of the images.
        seg_dir: Folder of the PNG files of segment ids.
        task: What the samples ask of the model.
        pipeline: Transforms or their configs.
        classes: Names to keep, others become void; all by default.
        filter_empty: Leave out images without a segment that is no crowd (not in test mode).
        min_size: Leave out images with a shorter side than this, pixels (not in test mode).
        held_out_refs: Refs files of RefCOCO, RefCOCO+ or RefCOCOg whose images of validation and
            tests are left out, for a training that is to be scored on them.
        test_mode: Whether every image is kept.
        dataset_name: Name noted in the samples.
        seed: See :class:`ClipDataset`.
        max_bad_samples: See :class:`ClipDataset`.
    """

    def __init__(
        self,
        ann_file: str | Path,
        img_dir: str | Path,
        seg_dir: str | Path,
        task: Task | str,
        pipeline: Pipeline,
        *,
        classes: Sequence[str] | None = None,
        filter_empty: bool = True,
        min_size: int = 32,
        held_out_refs: Sequence[str | Path] = (),
        test_mode: bool = False,
        dataset_name: str = 'coco_panoptic',
        seed: int = 0,
        max_bad_samples: int = 0,
    ) -> None:
        self.ann_file = Path(ann_file)
        self.img_dir, self.seg_dir = Path(img_dir), Path(seg_dir)
        self.index = load_panoptic_index(self.ann_file)
        categories = CocoCategories.from_json(self.index.meta['categories'], self.ann_file, classes)
        metainfo = {**categories.metainfo, 'dataset_name': dataset_name}
        super().__init__(
            task, pipeline, metainfo, seed, test_mode=test_mode, max_bad_samples=max_bad_samples
        )
        self.labels = categories.labels
        self.rows = self._chosen_rows(
            filter_empty and not test_mode,
            0 if test_mode else min_size,
            held_out_images(held_out_refs),
        )

    def _chosen_rows(self, filter_empty: bool, min_size: int, held_out: set[int]) -> np.ndarray:
        """Images of the index that are samples of this data set, (S,)."""
        index = self.index
        keep = index['sizes'].min(axis=1, initial=1 << 30) >= min_size
        if filter_empty:
            counts = ~index['is_crowd'] & np.isin(index['category_ids'], list(self.labels))
            keep &= has_any(counts, index['offsets'])
        if held_out:
            texts = {json.dumps(image_id) for image_id in held_out}
            keep &= np.array([text not in texts for text in index.texts('img_ids')], dtype=bool)
        return usable_rows(keep, self.ann_file)

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.rows)

    def load(self, index: int) -> dict[str, Any]:
        """Read one image with its segments.

        Raises:
            FileNotFoundError: If a file is missing.
            UserError: If a file is broken, sizes disagree, or PNG and JSON name other segments.
        """
        row = int(self.rows[index])
        img_id = json.loads(self.index.texts('img_ids')[row])
        size = tuple(self.index['sizes'][row].tolist())
        img_path = self.img_dir / self.image_file(row)
        image = read_named_image(img_path, self.ann_file, img_id)
        check_image_size(img_path, image.shape[:2], size, self.ann_file)
        known = self._load_segments(row, img_id, size)
        return image_sample(image, known, img_id, img_path, self.metainfo['dataset_name'])

    def image_file(self, row: int) -> str:
        """Path of an image below ``img_dir``.

        Args:
            row: Its row in the index.
        """
        return self.index.texts('img_files')[row]

    def _load_segments(
        self, row: int, img_id: int | str, size: tuple[int, ...]
    ) -> dict[str, torch.Tensor]:
        """Masks, labels, ids and crowd flags of one image."""
        part = slice(*self.index['offsets'][row : row + 2].tolist())
        ids = self.index['segment_ids'][part]
        seg_path = self.seg_dir / self.index.texts('seg_files')[row]
        id_map = decode_panoptic(read_named_image(seg_path, self.ann_file, img_id))
        check_image_size(seg_path, id_map.shape, size, self.ann_file)
        self._check_ids(id_map, ids, seg_path)
        categories = self.index['category_ids'][part].tolist()
        keep = np.array([category in self.labels for category in categories], dtype=bool)
        labels = [self.labels[category] for category in categories if category in self.labels]
        crowd = self.index['is_crowd'][part][keep]
        return segments(masks_of_ids(id_map[None], ids[keep]), labels, ids[keep], crowd)

    def _check_ids(self, id_map: np.ndarray, ids: np.ndarray, seg_path: Path) -> None:
        """Compare the ids in a PNG with those in the JSON file."""
        found = set(np.unique(id_map).tolist()) - {0}
        listed = set(ids.tolist())
        if found - listed:
            raise UserError(
                f'{seg_path}: expected only the ids listed in segments_info of {self.ann_file}, '
                f'got {sorted(found - listed)[:5]}; the PNG belongs to other annotations, or its '
                'colours were changed by a lossy save'
            )
        if listed - found:
            raise UserError(
                f'{seg_path}: expected pixels of every segment of {self.ann_file}, got none with '
                f'the ids {sorted(listed - found)[:5]}; remove these segments or save the PNG again'
            )
