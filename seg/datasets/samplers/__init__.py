"""Samplers that keep one task per batch."""

from seg.datasets.samplers.ordered_task_batch_sampler import OrderedTaskBatchSampler
from seg.datasets.samplers.task_batch_sampler import Drawn, TaskBatchSampler, block_weights

__all__ = ['Drawn', 'OrderedTaskBatchSampler', 'TaskBatchSampler', 'block_weights']
