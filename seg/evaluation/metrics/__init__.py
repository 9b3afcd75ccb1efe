"""Metrics of the MMEngine evaluator: thin shells around :mod:`seg.evaluation.functional`."""

from seg.evaluation.metrics.instance_metric import InstanceMetric
from seg.evaluation.metrics.interactive_metric import InteractiveMetric
from seg.evaluation.metrics.panoptic_metric import PanopticMetric

__all__ = ['InstanceMetric', 'InteractiveMetric', 'PanopticMetric']
