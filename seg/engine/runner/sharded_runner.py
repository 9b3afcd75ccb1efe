"""Training with strategies of MMEngine's FlexibleRunner, as exactly as without."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from mmengine._strategy import BaseStrategy
from mmengine.hooks import EMAHook
from mmengine.runner import FlexibleRunner
from mmengine.runner.base_loop import BaseLoop
from torch import nn

from seg import __version__
from seg.datasets.samplers import TaskBatchSampler
from seg.engine.runner.distributed import check_same_config
from seg.engine.runner.exact_running import ExactRunning
from seg.engine.runner.seg_runner import log_to_stderr
from seg.engine.runner.sharding import gather, spread_like, spread_optimizer_state
from seg.registry import MODELS, RUNNERS
from seg.utils.checks import UserError


@RUNNERS.register_module()
class ShardedRunner(ExactRunning, FlexibleRunner):
    """Trains models that are spread over processes, with the config of :class:`SegRunner`.

    ``strategy`` says how, for example :class:`FullyShardStrategy`. Checkpoints hold whole tensors
    in the layout of :class:`SegRunner`, so either can go on where the other was.

    The constructor and the config keys are those of ``mmengine.runner.FlexibleRunner``.
    """

    model: Any

    def build_strategy(
        self, strategy: BaseStrategy | dict[str, Any] | None = None, **settings: Any
    ) -> BaseStrategy:
        """Build the strategy, and with it processes and logger.

        Raises:
            UserError: If the config names none, or differs between processes.
        """
        if strategy is None:
            raise UserError(
                'strategy: expected one for ShardedRunner, such as dict(type=FullyShardStrategy), '
                'got none; use SegRunner to train without'
            )
        built = super().build_strategy(strategy, **settings)
        log_to_stderr(built.logger)
        if built.distributed:
            check_same_config(self.cfg._cfg_dict)
        return built

    def _log_env(self) -> None:
        """Log one line about the machine."""
        device = torch.cuda.get_device_name() if torch.cuda.is_available() else 'CPU'
        self.logger.info(
            f'seg {__version__}, torch {torch.__version__}, {device}, {self.world_size} '
            f'process(es) with {type(self.strategy).__name__}, seed {self.seed}, work folder '
            f'{self.work_dir}'
        )

    def build_train_loop(self, loop: BaseLoop | dict[str, Any]) -> BaseLoop:
        """Build the training loop.

        Raises:
            UserError: If processes would draw from different sources in a step.
        """
        built = super().build_train_loop(loop)
        sampler = built.dataloader.batch_sampler
        if isinstance(sampler, TaskBatchSampler) and not sampler.same_source:
            raise UserError(
                'batch_sampler.same_source: expected True for a sharded model, whose processes '
                'must run the same task in a step, got False'
            )
        return built

    def train(self) -> nn.Module:
        """Train; returns the model, spread over processes.

        Raises:
            UserError: If a moving average is asked for, which would not be spread.
        """
        if any(isinstance(hook, EMAHook) for hook in self.hooks):
            raise UserError(
                'custom_hooks: expected no EMAHook with a sharded model, which it cannot copy, got '
                'one; leave it out, or train with SegRunner'
            )
        if isinstance(self.model, dict):
            self.model = MODELS.build(self.model)
        return super().train()

    def resume(
        self,
        filename: str,
        resume_optimizer: bool = True,
        resume_param_scheduler: bool = True,
        map_location: str | Callable[..., Any] = 'cpu',
    ) -> None:
        """Continue the run that wrote a checkpoint, exactly where it was."""
        super().resume(filename, resume_optimizer, resume_param_scheduler, map_location)
        if hasattr(self.optim_wrapper, 'initialize_count_status'):
            self.optim_wrapper.initialize_count_status(self.model, self.iter, self.max_iters)

    def _whole(self, content: dict[str, Any]) -> dict[str, Any]:
        return gather(content)

    def _spread(self, state: dict[str, Any], own: Mapping[str, torch.Tensor]) -> dict[str, Any]:
        return {name: spread_like(value, own.get(name)) for name, value in state.items()}

    def _spread_optimizer(self, state: dict[str, Any]) -> dict[str, Any]:
        return spread_optimizer_state(state, self.optim_wrapper.param_groups)
