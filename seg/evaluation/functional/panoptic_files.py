"""Panoptic results on disk in COCO's layout: one JSON file and a folder of PNG files."""

from __future__ import annotations

import json
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from seg.evaluation.functional.pq import PQStat, pq_stat
from seg.structures.panoptic_ids import decode_panoptic, encode_panoptic
from seg.utils.atomic_write import write_atomically
from seg.utils.checks import UserError


@dataclass(frozen=True)
class PanopticPair:
    """Ground truth and prediction of one image, not read yet.

    Attributes:
        image_id: COCO's id of the image.
        gt_png: Picture of the true segment ids.
        gt_segments: ``segments_info`` of the ground truth.
        pred_png: Picture of the predicted segment ids.
        pred_segments: ``segments_info`` of the prediction.
    """

    image_id: int | str
    gt_png: Path
    gt_segments: Sequence[Mapping[str, Any]]
    pred_png: Path
    pred_segments: Sequence[Mapping[str, Any]]

    def stat(self, categories: Container[int]) -> PQStat:
        """Read both pictures and compare them, see :func:`pq_stat`."""
        return pq_stat(
            read_panoptic_png(self.pred_png),
            self.pred_segments,
            read_panoptic_png(self.gt_png),
            self.gt_segments,
            categories=categories,
            where=f'image {self.image_id}',
        )


def pair_panoptic_files(
    gt_json: Path, gt_dir: Path, pred_json: Path, pred_dir: Path
) -> tuple[list[PanopticPair], dict[int, bool]]:
    """Find the prediction of every image of the ground truth.

    Predictions for images that the ground truth does not know are left out, as the official
    evaluation does.

    Args:
        gt_json: COCO panoptic annotations, with ``categories``.
        gt_dir: Folder of their PNG files.
        pred_json: Predictions; only ``annotations`` is read.
        pred_dir: Folder of their PNG files.

    Returns:
        One pair per annotated image, and category id to whether it is a thing.

    Raises:
        FileNotFoundError: If a file or folder does not exist.
        ValueError: If a file is not such JSON, nothing is annotated, an image is annotated twice,
            or one has no prediction.
    """
    for folder in (gt_dir, pred_dir):
        if not folder.is_dir():
            raise FileNotFoundError(f'{folder}: expected a folder of panoptic PNG files, got none')
    truth = _read_json(gt_json)
    predictions = _by_image(_read_json(pred_json), pred_json)
    categories = {
        _whole_number(c, 'id', gt_json): bool(_need(c, 'isthing', gt_json))
        for c in _list(truth, 'categories', gt_json)
    }
    annotations = _by_image(truth, gt_json)
    if not annotations:
        raise UserError(
            f"{gt_json}: expected at least one entry in 'annotations', got none; give the ground "
            'truth of the images that were predicted'
        )
    pairs = []
    for image_id, annotation in annotations.items():
        if image_id not in predictions:
            raise UserError(
                f'image {image_id}: expected a prediction for every image of {gt_json.name}, '
                f'got none in {pred_json}; predict the whole set'
            )
        prediction = predictions[image_id]
        pairs.append(
            PanopticPair(
                image_id,
                gt_dir / _text(annotation, 'file_name', gt_json),
                _segments(annotation, gt_json),
                pred_dir / _text(prediction, 'file_name', pred_json),
                _segments(prediction, pred_json),
            )
        )
    return pairs, categories


def read_panoptic_png(path: Path) -> np.ndarray:
    """Read segment ids, (H, W), int32, from a PNG in COCO's coding.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not a picture, is cut off, or is not RGB.
    """
    if not path.is_file():
        raise FileNotFoundError(f'{path}: expected a panoptic PNG file, got none')
    try:
        with Image.open(path) as picture:
            mode = picture.mode
            pixels = np.asarray(picture)
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise UserError(
            f'{path}: expected a readable PNG, got {error or "a broken file"}; write it anew'
        ) from None
    if mode != 'RGB':
        raise UserError(
            f'{path}: expected an RGB picture with id = R + 256 G + 65536 B, got mode {mode}'
        )
    return decode_panoptic(pixels)


def write_panoptic_png(path: Path, ids: np.ndarray) -> None:
    """Write segment ids, (H, W), as a PNG in COCO's coding; the file appears whole or not at all.

    Raises:
        ValueError: If an id does not fit into three bytes.
        OSError: If the file cannot be written.
    """
    picture = Image.fromarray(encode_panoptic(ids))
    write_atomically(path, lambda file: picture.save(file, format='PNG', compress_level=1))


def _read_json(path: Path) -> Any:
    if not path.is_file():
        raise FileNotFoundError(f'{path}: expected a COCO panoptic JSON file, got none')
    try:
        return json.loads(path.read_bytes())
    except ValueError as error:
        raise UserError(f'{path}: expected JSON, got {error}') from None


def _need(entry: Any, key: str, path: Path) -> Any:
    if not isinstance(entry, Mapping) or key not in entry:
        raise UserError(
            f'{path}: expected the key {key!r} in every such entry, got {str(entry)[:60]!r}; '
            'write the file in the format of COCO panoptic annotations'
        )
    return entry[key]


def _list(entry: Any, key: str, path: Path) -> list[Any]:
    value = _need(entry, key, path)
    if not isinstance(value, list):
        raise UserError(_wrong_value(path, key, 'a list', value))
    return value


def _text(entry: Any, key: str, path: Path) -> str:
    value = _need(entry, key, path)
    if not isinstance(value, str):
        raise UserError(_wrong_value(path, key, 'a text', value))
    return value


def _whole_number(entry: Any, key: str, path: Path, where: str = '') -> int:
    value = _need(entry, key, path)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value % 1 != 0:
        raise UserError(_wrong_value(path, key, 'a whole number', value, where))
    return int(value)


def _wrong_value(path: Path, key: str, expected: str, value: Any, where: str = '') -> str:
    return (
        f'{path}: expected {expected} as {key!r}{where}, got {str(value)[:60]!r}; '
        'write the file in the format of COCO panoptic annotations'
    )


def _by_image(content: Any, path: Path) -> dict[int | str, Mapping[str, Any]]:
    found: dict[int | str, Mapping[str, Any]] = {}
    for annotation in _list(content, 'annotations', path):
        image_id = _need(annotation, 'image_id', path)
        if not isinstance(image_id, (int, str)):
            raise UserError(_wrong_value(path, 'image_id', 'a number or a text', image_id))
        if image_id in found:
            raise UserError(f'{path}: image {image_id} is annotated twice; keep one entry')
        found[image_id] = annotation
    return found


def _segments(annotation: Mapping[str, Any], path: Path) -> Sequence[Mapping[str, Any]]:
    where = f' of a segment of image {annotation["image_id"]}'
    segments = _list(annotation, 'segments_info', path)
    for segment in segments:
        for key in ('id', 'category_id'):
            _whole_number(segment, key, path, where)
        area = segment.get('area', 0)
        if isinstance(area, bool) or not isinstance(area, (int, float)):
            raise UserError(_wrong_value(path, 'area', 'a number', area, where))
    return segments
