"""Raw losses; weights are the business of the task table."""

from seg.models.losses.mask_losses import (
    bce_loss,
    dice_loss,
    mask_iou,
    sample_points,
    uncertain_points,
)
from seg.models.losses.mask_sampling import GridSampling, PointSampling, SampledMasks
from seg.models.losses.segment_criterion import Assignment, SegmentCriterion, Targets

__all__ = [
    'Assignment',
    'GridSampling',
    'PointSampling',
    'SampledMasks',
    'SegmentCriterion',
    'Targets',
    'bce_loss',
    'dice_loss',
    'mask_iou',
    'sample_points',
    'uncertain_points',
]
