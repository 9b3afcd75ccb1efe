"""Whether objects keep their ids through crossings and full occlusions.

J and F average over all frames; this looks at the moments in which identities get lost. A case is
one object and one event. The object keeps its id if, in at least half of the first five frames
after the event that show it again, the predicted mask of its id has an IoU of 0.5 or more with it
(an IoU of 0.5 with one object leaves less than that for any other). An object that was lost or
mixed up before the event counts as lost, too.

When a full occlusion is over can be said in two ways, and they lie far apart: when the object is
free again, or as soon as a sliver of it shows. Both are cases here, of two kinds.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from seg.evaluation.functional.clicks import mask_iou
from seg.utils.checks import UserError

CASE_KINDS = ('crossing', 'occlusion', 'reappearance')
ONCE_FREE = ('crossing', 'occlusion')
"""Kinds that are judged when the object is free again; together they are all events once."""

AT_FIRST_SIGHT = ('crossing', 'reappearance')
"""The same with full occlusions judged by the first frames that show anything."""

FRAMES_AFTER = 5
"""Frames after an event that are looked at."""

MIN_IOU = 0.5
MIN_AREA = 40
"""Fewest pixels of an object that is seen."""

OCCLUSION_FRAMES = 10
"""Fewest frames without a pixel of a full occlusion."""


@dataclass(frozen=True)
class IdentityCase:
    """One object in one event.

    Attributes:
        object_id: The object.
        kind: One of ``CASE_KINDS``.
        start: First frame of the event.
        stop: Frame behind its last.
    """

    object_id: int
    kind: str
    start: int
    stop: int


def find_cases(
    visible_areas: np.ndarray, inside_areas: np.ndarray, object_ids: Iterable[int]
) -> list[IdentityCase]:
    """Find the events of a clip of which the true extents of things are known.

    A thing takes part if frame 0 shows 40 pixels of it. An event are all frames in a row in which
    others hide at least 20 % of it, if before and after them less than 5 % are hidden in some
    frame, and 40 pixels of it are seen again. It is an *occlusion* if none of its pixels is visible
    for 10 frames in a row or more, and a *crossing* otherwise. So the thing is judged by frames in
    which it is mostly free again, and not by the first sliver that shows.

    Those 10 frames or more are an event of their own, a *reappearance*, which is judged by the
    first slivers of 40 pixels, whether the thing gets free again or not.

    Args:
        visible_areas: Visible pixels of each thing in each frame, (N, T).
        inside_areas: Its pixels inside the frame, hidden or not, (N, T).
        object_ids: Ids of the N things.

    Returns:
        The cases by object, then by time.
    """
    cases = []
    for object_id, visible, inside in zip(object_ids, visible_areas, inside_areas, strict=True):
        if visible[0] < MIN_AREA:
            continue
        present = inside >= MIN_AREA
        hidden = inside - visible
        free = present & (20 * hidden < inside)
        gone = [
            (start, stop)
            for start, stop in _runs(present & (visible == 0))
            if stop - start >= OCCLUSION_FRAMES
        ]
        found = [('reappearance', *run) for run in gone]
        for start, stop in _runs(present & (5 * hidden >= inside)):
            if free[:start].any() and free[stop:].any():
                occluded = any(start <= begin < stop for begin, _ in gone)
                found.append(('occlusion' if occluded else 'crossing', start, stop))
        cases += [
            IdentityCase(int(object_id), kind, start, stop)
            for kind, start, stop in sorted(found, key=lambda event: (*event[1:], event[0]))
            if (visible[stop:] >= MIN_AREA).any()
        ]
    return cases


def keeps_identity(case: IdentityCase, masks: np.ndarray, pred_maps: np.ndarray) -> bool:
    """Whether the object of a case is found under its own id after the event.

    Args:
        case: The case.
        masks: True masks of its object, (T, H, W), bool.
        pred_maps: Predicted object ids, (T, H, W).

    Raises:
        UserError: If no frame after the event shows the object, or sizes differ.
    """
    if masks.shape != pred_maps.shape:
        raise UserError(
            f'pred_maps: expected (T, H, W) = {masks.shape} as the true masks, got '
            f'{pred_maps.shape}; predict every frame at the original size'
        )
    areas = np.count_nonzero(masks[case.stop :], axis=(1, 2))
    frames = case.stop + np.flatnonzero(areas >= MIN_AREA)[:FRAMES_AFTER]
    if not len(frames):
        raise UserError(
            f'{case}: expected frames after the event with {MIN_AREA} pixels of the object, got '
            'none; leave the case out'
        )
    found = [
        mask_iou(masks[frame], pred_maps[frame] == case.object_id) >= MIN_IOU for frame in frames
    ]
    return 2 * sum(found) >= len(found)


def _runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """Where flags are set without a break: first frame and the one behind the last."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return [(start, stop) for start, stop in edges.reshape(-1, 2).tolist()]
