"""Metrics of the MMEngine evaluator: thin shells around :mod:`seg.evaluation.functional`."""

from seg.evaluation.metrics.instance_metric import InstanceMetric
from seg.evaluation.metrics.interactive_metric import InteractiveMetric
from seg.evaluation.metrics.panoptic_metric import PanopticMetric
from seg.evaluation.metrics.prompt_seg_metric import PromptSegMetric
from seg.evaluation.metrics.semantic_iou_metric import SemanticIoUMetric
from seg.evaluation.metrics.task_evaluator import TaskEvaluator

__all__ = [
    'InstanceMetric',
    'InteractiveMetric',
    'PanopticMetric',
    'PromptSegMetric',
    'SemanticIoUMetric',
    'TaskEvaluator',
]
