"""What a model can do with videos."""

from __future__ import annotations

from typing import Any

NO_VIDEO = (
    'videos: not scored, as the model has no streaming memory; '
    'configs/rap_sam/rap_sam_nano_video_shapes.py trains one that has'
)


def has_memory(model: Any) -> bool:
    """Whether a model follows objects through videos, by a streaming memory."""
    return getattr(getattr(model, 'head', None), 'memory', None) is not None


def has_tracker(model: Any) -> bool:
    """Whether a model gives what it finds the same ids in all frames of a clip."""
    return getattr(getattr(model, 'head', None), 'panoptic_tracker', None) is not None
