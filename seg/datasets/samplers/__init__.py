"""Samplers that keep one task per batch."""

from seg.datasets.samplers.task_batch_sampler import TaskBatchSampler

__all__ = ['TaskBatchSampler']
