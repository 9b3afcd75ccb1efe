"""Samplers that keep one task per batch."""

from seg.datasets.samplers.ordered_task_batch_sampler import OrderedTaskBatchSampler
from seg.datasets.samplers.task_batch_sampler import Drawn, TaskBatchSampler

__all__ = ['Drawn', 'OrderedTaskBatchSampler', 'TaskBatchSampler']
