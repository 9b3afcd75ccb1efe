"""Raw losses; weights are the business of the task table."""

from seg.models.losses.attention_distillation import (
    DecoderAttentionDistillation,
    EncoderAttentionDistillation,
)
from seg.models.losses.concept_criterion import CONCEPT_WEIGHTS, ConceptCriterion
from seg.models.losses.concept_targets import ConceptTargets, MatchWeights, concept_targets
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
from seg.models.losses.distillation import DistillationPart, Lesson, MaskDistillation
from seg.models.losses.distillation_schedule import DistillationSchedule, DistillationSettings
from seg.models.losses.feature_distillation import (
    BlockFeatureDistillation,
    DecoderFeatureDistillation,
    EmbeddingDistillation,
    ProjectedEmbeddingDistillation,
)
from seg.models.losses.loss_balancing import (
    DynamicWeightAverage,
    EmaRatio,
    LossBalancer,
    UncertaintyWeights,
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
from seg.models.losses.steering import Steered
from seg.models.losses.step_averages import StepAverages
from seg.models.losses.targets import Assignment, Targets

__all__ = [
    'CONCEPT_WEIGHTS',
    'Assignment',
    'BlockFeatureDistillation',
    'BoundaryBandLoss',
    'ConceptCriterion',
    'ConceptTargets',
    'DecoderAttentionDistillation',
    'DecoderFeatureDistillation',
    'DenseMaskLoss',
    'DistillationPart',
    'DistillationSchedule',
    'DistillationSettings',
    'DynamicWeightAverage',
    'EdgeWeightedBCELoss',
    'EmaRatio',
    'EmbeddingDistillation',
    'EncoderAttentionDistillation',
    'GridSampling',
    'Lesson',
    'LossBalancer',
    'MaskBCELoss',
    'MaskDiceLoss',
    'MaskDistillation',
    'MaskFocalLoss',
    'MaskSoftIoULoss',
    'MaskTargets',
    'MatchWeights',
    'PointSampling',
    'ProjectedEmbeddingDistillation',
    'PromptCriterion',
    'PromptLosses',
    'SampledMasks',
    'SegmentCriterion',
    'SignedDistanceLoss',
    'Steered',
    'StepAverages',
    'Targets',
    'UncertaintyWeights',
    'bce_loss',
    'concept_targets',
    'dice_loss',
    'mask_iou',
    'panoptic_overlap_loss',
    'sample_points',
    'uncertain_points',
]
