"""``supervision.Detections`` of one frame, and back."""

from __future__ import annotations

from typing import Any

import numpy as np

from seg.apis.annotation.formats.records import MediaRecord, ObjectRecord, labels_of
from seg.apis.annotation.run_lengths import decode_mask, encode_mask
from seg.utils.checks import UserError


def to_detections(record: MediaRecord, frame: int = 0) -> Any:
    """The objects that are seen on a frame as ``supervision.Detections``.

    Masks and boxes, ids as ``tracker_id``, labels as ``class_id`` (their place among the sorted
    labels of the record) and ``data['class_name']``.

    Raises:
        UserError: If supervision is not installed.
    """
    try:
        import supervision
    except ModuleNotFoundError:
        raise UserError(
            "supervision: expected the package, got none; pip install 'rapsam[supervision]'"
        ) from None
    seen = [one for one in record.objects if frame in one.masks]
    if not seen:
        return supervision.Detections.empty()
    masks = np.stack([decode_mask(one.masks[frame], record.size) for one in seen])
    labels = labels_of([record])
    return supervision.Detections(
        xyxy=supervision.mask_to_xyxy(masks).astype(np.float32),
        mask=masks,
        class_id=np.array([labels.index(one.label) for one in seen]),
        tracker_id=np.array([one.object_id for one in seen]),
        data={'class_name': np.array([one.label for one in seen])},
    )


def from_detections(detections: Any, name: str, size: tuple[int, int]) -> MediaRecord:
    """An image record of detections with masks.

    Raises:
        UserError: If they have no masks, or of another size.
    """
    count = len(detections)
    if count and (detections.mask is None or detections.mask.shape[1:] != size):
        raise UserError(f'detections: expected masks of the size {size}, got none or others')
    ids = detections.tracker_id if detections.tracker_id is not None else range(1, count + 1)
    labels = detections.data.get('class_name', ['object'] * count)
    objects = tuple(
        ObjectRecord(int(ids[row]), str(labels[row]), {0: encode_mask(detections.mask[row])})
        for row in range(count)
    )
    return MediaRecord(name, size, 1, False, objects)
