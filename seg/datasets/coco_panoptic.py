"""COCO panoptic format: one JSON file, a folder of images, a folder of PNG files of segment ids."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

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
from seg.structures.panoptic_ids import decode_panoptic
from seg.utils.checks import UserError


@dataclass(frozen=True)
class PanopticIndex:
    """All of an annotation file but its pixels, as arrays, so that 118,000 images stay small.

    Attributes:
        raw_categories: The field ``categories``.
        img_ids: Image ids, (S,).
        sizes: Heights and widths, (S, 2).
        img_files: Names of the image files, (S,), bytes.
        seg_files: Names of the PNG files, (S,), bytes.
        offsets: Image ``i`` has the segments ``offsets[i]:offsets[i + 1]``, (S + 1,).
        segment_ids: Value in the PNG, one per segment.
        category_ids: The file's category, one per segment.
        is_crowd: Whether it is a crowd region, one per segment.
    """

    raw_categories: tuple[Mapping[str, Any], ...]
    img_ids: np.ndarray
    sizes: np.ndarray
    img_files: np.ndarray
    seg_files: np.ndarray
    offsets: np.ndarray
    segment_ids: np.ndarray
    category_ids: np.ndarray
    is_crowd: np.ndarray

    def __len__(self) -> int:
        """Number of images S."""
        return len(self.img_ids)


def load_panoptic_index(ann_file: Path) -> PanopticIndex:
    """Read an annotation file; two data sets over one file share the result.

    Raises:
        FileNotFoundError: If there is no such file.
        UserError: If a field is missing, or an annotation names an unknown image or category.
    """
    if not ann_file.is_file():
        read_coco_json(ann_file)  # raises
    return _cached_index(ann_file.resolve(), ann_file.stat().st_mtime_ns)


@lru_cache(maxsize=4)
def _cached_index(ann_file: Path, _modified: int) -> PanopticIndex:
    content = read_coco_json(ann_file)
    images = {require(image, 'id', ann_file, 'images'): image for image in content['images']}
    known = {require(c, 'id', ann_file, 'categories') for c in content['categories']}
    img_ids, sizes, img_files, seg_files, offsets = [], [], [], [], [0]
    segments: list[tuple[int, int, bool]] = []
    for annotation in content['annotations']:
        image_id = require(annotation, 'image_id', ann_file, 'annotations')
        where = f'the annotation of image {image_id}'
        if image_id not in images:
            raise UserError(
                f"{ann_file}: expected an entry in 'images' for image {image_id}, got an "
                "annotation alone; add the image's file_name, height and width"
            )
        image = images[image_id]
        names = ('file_name', 'height', 'width')
        file_name, height, width = (
            require(image, name, ann_file, f'image {image_id}') for name in names
        )
        img_ids.append(image_id)
        sizes.append((height, width))
        img_files.append(os.fsencode(file_name))
        seg_files.append(os.fsencode(require(annotation, 'file_name', ann_file, where)))
        for segment in require(annotation, 'segments_info', ann_file, where):
            segments.append(_read_segment(segment, known, ann_file, where))
        offsets.append(len(segments))
    table = np.array(segments, dtype=np.int64).reshape(-1, 3)
    return PanopticIndex(
        raw_categories=tuple(content['categories']),
        img_ids=np.array(img_ids),
        sizes=np.array(sizes, dtype=np.int32).reshape(-1, 2),
        img_files=np.array(img_files, dtype=bytes),
        seg_files=np.array(seg_files, dtype=bytes),
        offsets=np.array(offsets, dtype=np.int64),
        segment_ids=table[:, 0].copy(),
        category_ids=table[:, 1].copy(),
        is_crowd=table[:, 2] != 0,
    )


def _read_segment(
    segment: Mapping[str, Any], known: set[int], ann_file: Path, where: str
) -> tuple[int, int, bool]:
    """Id, category and crowd flag of one entry of ``segments_info``."""
    segment_id, category = (require(segment, key, ann_file, where) for key in ('id', 'category_id'))
    if category not in known:
        raise UserError(
            f'{ann_file}: expected category_id of segment {segment_id} in {where} to be one of '
            f"the ids in 'categories', got {category}; add the category or mend the segment"
        )
    return segment_id, category, bool(segment.get('iscrowd', 0))


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
        test_mode: Whether every image is kept.
        dataset_name: Name noted in the samples.
        seed: See :class:`ClipDataset`.
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
        test_mode: bool = False,
        dataset_name: str = 'coco_panoptic',
        seed: int = 0,
    ) -> None:
        self.ann_file = Path(ann_file)
        self.img_dir, self.seg_dir = Path(img_dir), Path(seg_dir)
        self.index = load_panoptic_index(self.ann_file)
        categories = CocoCategories.from_json(self.index.raw_categories, self.ann_file, classes)
        metainfo = {**categories.metainfo, 'dataset_name': dataset_name}
        super().__init__(task, pipeline, metainfo, seed)
        self.labels = categories.labels
        self.rows = self._chosen_rows(filter_empty, 0 if test_mode else min_size, test_mode)

    def _chosen_rows(self, filter_empty: bool, min_size: int, test_mode: bool) -> np.ndarray:
        """Images of the index that are samples of this data set, (S,)."""
        index = self.index
        keep = index.sizes.min(axis=1, initial=1 << 30) >= min_size
        if filter_empty and not test_mode:
            counts = ~index.is_crowd & np.isin(index.category_ids, list(self.labels))
            total = np.concatenate([[0], np.cumsum(counts)])
            keep &= total[index.offsets[1:]] > total[index.offsets[:-1]]
        rows = np.flatnonzero(keep)
        if not len(rows):
            raise UserError(
                f'{self.ann_file}: expected at least one usable image, got none of {len(index)}; '
                'check the annotations, classes, min_size and filter_empty'
            )
        return rows

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
        size = tuple(int(side) for side in self.index.sizes[row])
        img_path = self.img_dir / os.fsdecode(self.index.img_files[row])
        image = read_named_image(img_path, self.ann_file, self.index.img_ids[row])
        check_image_size(img_path, image.shape[:2], size, self.ann_file)
        return {
            'clip': torch.from_numpy(image).permute(2, 0, 1)[None].contiguous(),
            **self._load_segments(row, size),
            'img_id': self.index.img_ids[row].item(),
            'img_path': str(img_path),
            'ori_shape': size,
            'img_shape': size,
            'scale_factor': (1.0, 1.0),
            'dataset_name': self.metainfo['dataset_name'],
        }

    def _load_segments(self, row: int, size: tuple[int, ...]) -> dict[str, torch.Tensor]:
        """Masks, labels, ids and crowd flags of one image."""
        part = slice(self.index.offsets[row], self.index.offsets[row + 1])
        ids = self.index.segment_ids[part]
        seg_path = self.seg_dir / os.fsdecode(self.index.seg_files[row])
        picture = read_named_image(seg_path, self.ann_file, self.index.img_ids[row])
        id_map = decode_panoptic(picture)
        check_image_size(seg_path, id_map.shape, size, self.ann_file)
        self._check_ids(id_map, ids, seg_path)
        categories = self.index.category_ids[part].tolist()
        keep = np.array([category in self.labels for category in categories], dtype=bool)
        object_ids = torch.from_numpy(ids[keep])
        return {
            'masks': (torch.from_numpy(id_map) == object_ids.int()[:, None, None])[:, None],
            'labels': torch.tensor(
                [self.labels[c] for c in categories if c in self.labels], dtype=torch.long
            ),
            'object_ids': object_ids,
            'is_crowd': torch.from_numpy(self.index.is_crowd[part][keep]),
        }

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
