"""Telling samplers which epoch begins."""

from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.runner import Runner

from seg.registry import HOOKS


@HOOKS.register_module()
class SamplerEpochHook(Hook):
    """Tells the sampler and the batch sampler the number of the epoch, if they want to know it.

    Unlike MMEngine's hook it accepts batch samplers that wrap no sampler.
    """

    priority = 'NORMAL'

    def before_train_epoch(self, runner: Runner) -> None:
        """Pass the epoch on."""
        loader = runner.train_dataloader
        for sampler in (loader.sampler, loader.batch_sampler):
            if hasattr(sampler, 'set_epoch'):
                sampler.set_epoch(runner.epoch)
