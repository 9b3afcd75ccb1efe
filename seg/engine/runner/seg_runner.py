"""MMEngine's Runner with its rough edges mended in one place."""

from __future__ import annotations

import logging
import sys
from typing import Any

import torch
from mmengine.device import get_device
from mmengine.logging import MMLogger
from mmengine.model import is_model_wrapper, revert_sync_batchnorm
from mmengine.optim import AmpOptimWrapper, OptimWrapper, OptimWrapperDict
from mmengine.runner import Runner
from torch import nn

from seg import __version__
from seg.datasets.samplers import TaskBatchSampler
from seg.engine.runner.amp_optim_wrapper import MixedPrecisionOptimWrapper
from seg.engine.runner.distributed import check_same_config, prepare_process_group, wrap_on_cpu
from seg.engine.runner.exact_checkpoints import NOT_LOADED
from seg.engine.runner.exact_running import ExactRunning
from seg.registry import RUNNERS


@RUNNERS.register_module()
class SegRunner(ExactRunning, Runner):
    """Trains, validates and tests as MMEngine's Runner does, with its rough edges mended.

    In addition to what that one does, it

    - starts several processes on the CPU (gloo) and mixed precision on the CPU (bfloat16);
    - reads checkpoints without unpickling objects and writes them atomically;
    - resumes exactly: random states, position of the sampler, optimizer, schedulers and curves are
      in the checkpoint, and validation leaves the random sequences of training alone;
    - synchronises batch norm on several GPUs, unless told otherwise;
    - refuses data with other numbers of classes than the model's before the first step;
    - logs to standard error, so that standard output is free for results.

    The constructor and the config keys are those of ``mmengine.runner.Runner``.
    """

    # Environment

    def setup_env(self, env_cfg: dict[str, Any]) -> None:
        """Set up processes and start methods; without a GPU processes talk over gloo.

        Raises:
            UserError: If the processes were started with different configs.
        """
        if self.distributed:
            prepare_process_group(self.launcher, env_cfg.get('dist_cfg', {}))
        super().setup_env(env_cfg)
        if self.distributed:
            check_same_config(self.cfg._cfg_dict)

    def build_logger(
        self, log_level: int | str = 'INFO', log_file: str | None = None, **kwargs: Any
    ) -> MMLogger:
        """Build the logger; it prints to standard error, and the longest lists to its file only."""
        return log_to_stderr(super().build_logger(log_level, log_file, **kwargs))

    def _log_env(self, env_cfg: dict[str, Any]) -> None:
        """Log one line about the machine; the config is written to the work folder anyway."""
        device = torch.cuda.get_device_name() if torch.cuda.is_available() else 'CPU'
        self.logger.info(
            f'seg {__version__}, torch {torch.__version__}, {device}, {self.world_size} '
            f'process(es), seed {self.seed}, work folder {self.work_dir}'
        )

    # Building

    def wrap_model(self, model_wrapper_cfg: dict[str, Any] | None, model: nn.Module) -> nn.Module:
        """Move the model to its device and wrap it for several processes.

        On several GPUs batch norm becomes synchronised batch norm, unless the config says
        otherwise with ``sync_bn=None``.
        """
        if not self.distributed:
            return revert_sync_batchnorm(model.to(get_device()))
        if torch.cuda.is_available() or is_model_wrapper(model):
            self.cfg.setdefault('sync_bn', 'torch')
            return super().wrap_model(model_wrapper_cfg, model)
        find_unused = bool(self.cfg.get('find_unused_parameters', False))
        return wrap_on_cpu(model, model_wrapper_cfg, find_unused)

    def build_optim_wrapper(
        self, optim_wrapper: OptimWrapper | dict[str, Any]
    ) -> OptimWrapper | OptimWrapperDict:
        """Build the optimizer; MMEngine's mixed precision, which needs a GPU, becomes ours."""
        if isinstance(optim_wrapper, dict):
            kind = optim_wrapper.get('type')
            if kind in ('AmpOptimWrapper', AmpOptimWrapper):
                optim_wrapper = {**optim_wrapper, 'type': MixedPrecisionOptimWrapper}
                optim_wrapper['dtype'] = optim_wrapper.get('dtype') or 'auto'
                if optim_wrapper.get('loss_scale') == 'dynamic':
                    optim_wrapper.pop('loss_scale')
        return super().build_optim_wrapper(optim_wrapper)

    def scale_lr(
        self, optim_wrapper: OptimWrapper, auto_scale_lr: dict[str, Any] | None = None
    ) -> None:
        """Scale the learning rate to the samples of an update.

        Unlike MMEngine's it counts all iterations that share an update, and batches as large as
        their tasks make them.
        """
        if auto_scale_lr and auto_scale_lr.get('enable'):
            loader = self.train_loop.dataloader
            sampler = loader.batch_sampler
            per_step = (
                sampler.mean_step_size
                if isinstance(sampler, TaskBatchSampler)
                else self.world_size * loader.batch_size
            )
            per_update = per_step * getattr(optim_wrapper, '_accumulative_counts', 1)
            assumed = self.world_size * self.cfg.train_dataloader.batch_size
            base = auto_scale_lr['base_batch_size'] * assumed / per_update
            auto_scale_lr = {**auto_scale_lr, 'base_batch_size': base}
        super().scale_lr(optim_wrapper, auto_scale_lr)


def log_to_stderr(logger: MMLogger) -> MMLogger:
    """Make a logger print to standard error, without the longest lists."""
    for handler in logger.handlers:
        if type(handler) is logging.StreamHandler:
            handler.setStream(sys.stderr)
            handler.addFilter(_is_worth_showing)
    return logger


def _is_worth_showing(record: logging.LogRecord) -> bool:
    """Not the lines that MMEngine logs for every single parameter, nor long lists of names."""
    return not record.getMessage().startswith(('paramwise_options', NOT_LOADED))
