"""Telling how often each data set was really drawn."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from seg.datasets.samplers import TaskBatchSampler
from seg.registry import HOOKS


@HOOKS.register_module()
class DataShareHook(Hook):
    """Logs the share of batches that came from each source of a mixture, over the whole training.

    It does so before every validation and at the end. Curves ``data_share/SOURCE`` hold the
    same. Other batch samplers than :class:`TaskBatchSampler` draw from one source, so there is
    nothing to tell.
    """

    priority = 'LOW'

    def before_val(self, runner: Runner) -> None:
        """Tell the shares so far."""
        if runner.iter:
            self._tell(runner, runner.iter)

    def after_train(self, runner: Runner) -> None:
        """Tell the shares of the whole training."""
        self._tell(runner, runner.iter)

    def _tell(self, runner: Runner, num_batches: int) -> None:
        sampler: Any = getattr(runner.train_loop.dataloader, 'batch_sampler', None)
        if not isinstance(sampler, TaskBatchSampler):
            return
        drawn = sampler.drawn(num_batches)
        total = sum(part.batches for part in drawn.values())
        if len(drawn) < 2 or not total:
            return
        shares = {name: part.batches / total for name, part in drawn.items()}
        listed = ', '.join(
            f'{name} {shares[name]:.1%} ({part.batches} batches, {part.samples} samples)'
            for name, part in drawn.items()
        )
        runner.logger.info(f'data drawn so far: {listed}')
        curves = {f'data_share/{name}': share for name, share in shares.items()}
        runner.visualizer.add_scalars(curves, step=num_batches)
