"""Heads: targets, losses and predictions around the decoder."""

from seg.models.heads.clip_frame import Frame, FrameAnswer
from seg.models.heads.clip_schedule import ClipSchedule
from seg.models.heads.clip_step import ClipStep
from seg.models.heads.mask_resizing import resize_masks
from seg.models.heads.panoptic_fusion import PanopticFusion
from seg.models.heads.panoptic_tracker import PanopticTracker, Tracks
from seg.models.heads.prompt_alignment import PromptAlignment
from seg.models.heads.rapsam_video_head import RapSAMVideoHead
from seg.models.heads.semantic_auxiliary import SemanticAuxiliary

__all__ = [
    'ClipSchedule',
    'ClipStep',
    'Frame',
    'FrameAnswer',
    'PanopticFusion',
    'PanopticTracker',
    'PromptAlignment',
    'RapSAMVideoHead',
    'SemanticAuxiliary',
    'Tracks',
    'resize_masks',
]
