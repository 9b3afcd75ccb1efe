"""What a model can do with videos."""

from __future__ import annotations

from typing import Any

from seg.utils.checks import UserError

NO_VIDEO = (
    'videos: not scored, as the model has no streaming memory; '
    'configs/rap_sam/rap_sam_nano_shapes.py trains one that has'
)


def has_memory(model: Any) -> bool:
    """Whether a model follows objects through videos, by a streaming memory."""
    return getattr(getattr(model, 'head', None), 'memory', None) is not None


def has_tracker(model: Any) -> bool:
    """Whether a model gives what it finds the same ids in all frames of a clip."""
    return getattr(getattr(model, 'head', None), 'panoptic_tracker', None) is not None


def check_follows(model: Any) -> None:
    """Refuse a model that does not follow objects.

    Raises:
        UserError: If it has no memory.
    """
    if not has_memory(model):
        entry = getattr(model, 'entry', None)
        raise UserError(
            f'model: expected one with a streaming memory, got {entry.name if entry else "one"} '
            'without; train configs/rap_sam/rap_sam_nano_shapes.py, and name it and its '
            'weights (in programs --config and --checkpoint)'
        )
