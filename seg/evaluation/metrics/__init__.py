"""Metrics of the MMEngine evaluator: thin shells around :mod:`seg.evaluation.functional`."""

from seg.evaluation.metrics.concept_metric import ConceptMetric
from seg.evaluation.metrics.davis_metric import DavisMetric
from seg.evaluation.metrics.identity_metric import IdentityMetric
from seg.evaluation.metrics.instance_metric import InstanceMetric
from seg.evaluation.metrics.interactive_metric import InteractiveMetric
from seg.evaluation.metrics.panoptic_metric import PanopticMetric
from seg.evaluation.metrics.prompt_seg_metric import PromptSegMetric
from seg.evaluation.metrics.semantic_iou_metric import SemanticIoUMetric
from seg.evaluation.metrics.stq_metric import StqMetric
from seg.evaluation.metrics.task_evaluator import TaskEvaluator
from seg.evaluation.metrics.vpq_metric import VpqMetric
from seg.evaluation.metrics.youtube_vis_metric import YoutubeVisMetric

__all__ = [
    'ConceptMetric',
    'DavisMetric',
    'IdentityMetric',
    'InstanceMetric',
    'InteractiveMetric',
    'PanopticMetric',
    'PromptSegMetric',
    'SemanticIoUMetric',
    'StqMetric',
    'TaskEvaluator',
    'VpqMetric',
    'YoutubeVisMetric',
]
