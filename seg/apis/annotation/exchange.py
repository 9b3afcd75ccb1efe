"""Between sessions and the records of the formats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from seg.apis.annotation.arguments import checked_text
from seg.apis.annotation.formats.records import MediaRecord, ObjectRecord
from seg.apis.annotation.item import MAX_OBJECTS, AnnotatedItem
from seg.apis.annotation.run_lengths import decode_mask
from seg.apis.annotation.state import AnnotatedObject, FrameMask, Origin
from seg.utils.checks import UserError

MAX_ID = 1 << 30
"""Larger ids of files are replaced: pages and other tools do not hold every whole number."""


def record_of(item: AnnotatedItem, accepted_only: bool = False) -> MediaRecord:
    """An item as formats see it.

    Args:
        item: With its frames.
        accepted_only: Whether objects that no one called done are left out.
    """
    media = item.media
    objects = tuple(
        ObjectRecord(
            one.object_id,
            one.label,
            {frame: mask.counts for frame, mask in sorted(one.masks.items())},
        )
        for one in item.objects
        if one.accepted or not accepted_only
    )

    def read(frame: int) -> np.ndarray:
        """A frame that is not held, as exports go through all media of a session."""
        image = media.read(frame)
        media.release()
        return image

    return MediaRecord(media.name, media.size, media.num_frames, media.is_video, objects, read)


def take_over(item: AnnotatedItem, record: MediaRecord) -> list[int]:
    """Add the objects of a record to an item, as one step; returns their ids.

    Objects keep their ids where those are free.

    Raises:
        UserError: If the record is of another size or number of frames, or a label is no short
            text.
    """
    media = item.media
    if record.size != media.size or record.num_frames > media.num_frames:
        raise UserError(
            f'{media.name}: expected annotations of {media.size[1]} x {media.size[0]} pixels and '
            f'{media.num_frames} frames, got {record.size[1]} x {record.size[0]} and '
            f'{record.num_frames}'
        )
    if len(item.objects) + len(record.objects) > MAX_OBJECTS:
        raise UserError(f'objects: expected at most {MAX_OBJECTS} in one item, got more')
    state, ids = item.state, []
    for one in record.objects:
        free = 1 <= one.object_id <= MAX_ID and one.object_id not in state.objects
        label = checked_text(one.label, f'{media.name}: label')
        new = AnnotatedObject(one.object_id if free else state.next_id, label)
        for frame, counts in one.masks.items():
            decode_mask(counts, media.size, f'{media.name}, frame {frame}')
        masks = {frame: FrameMask(counts, Origin.FILE) for frame, counts in one.masks.items()}
        state = state.with_object(replace(new, masks=masks))
        ids.append(new.object_id)
    if ids:
        item.replace_state(state, sum(len(one.masks) for one in record.objects) or 1)
    return ids


def matching(records: Sequence[MediaRecord], name: str) -> MediaRecord | None:
    """The record of that name, if there is one."""
    return next((record for record in records if record.name == name), None)
