"""Raw losses; weights are the business of the task table."""

from seg.models.losses.dense_mask_losses import (
    BoundaryBandLoss,
    DenseMaskLoss,
    EdgeWeightedBCELoss,
    MaskBCELoss,
    MaskDiceLoss,
    MaskFocalLoss,
    MaskSoftIoULoss,
    SignedDistanceLoss,
)
from seg.models.losses.mask_losses import (
    bce_loss,
    dice_loss,
    mask_iou,
    sample_points,
    uncertain_points,
)
from seg.models.losses.mask_sampling import GridSampling, PointSampling, SampledMasks
from seg.models.losses.panoptic_overlap import panoptic_overlap_loss
from seg.models.losses.prompt_criterion import MaskTargets, PromptCriterion, PromptLosses
from seg.models.losses.segment_criterion import SegmentCriterion
from seg.models.losses.step_averages import StepAverages
from seg.models.losses.targets import Assignment, Targets

__all__ = [
    'Assignment',
    'BoundaryBandLoss',
    'DenseMaskLoss',
    'EdgeWeightedBCELoss',
    'GridSampling',
    'MaskBCELoss',
    'MaskDiceLoss',
    'MaskFocalLoss',
    'MaskSoftIoULoss',
    'MaskTargets',
    'PointSampling',
    'PromptCriterion',
    'PromptLosses',
    'SampledMasks',
    'SegmentCriterion',
    'SignedDistanceLoss',
    'StepAverages',
    'Targets',
    'bce_loss',
    'dice_loss',
    'mask_iou',
    'panoptic_overlap_loss',
    'sample_points',
    'uncertain_points',
]
