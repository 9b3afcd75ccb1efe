"""MMEngine's Runner with its rough edges mended in one place."""

from __future__ import annotations

import copy
import logging
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import all_gather_object, is_main_process
from mmengine.hooks import Hook
from mmengine.logging import MMLogger
from mmengine.model import is_model_wrapper, revert_sync_batchnorm
from mmengine.optim import AmpOptimWrapper, OptimWrapper, OptimWrapperDict
from mmengine.runner import CheckpointLoader, Priority, Runner
from mmengine.runner.base_loop import BaseLoop
from torch import nn
from torch.utils.data import DataLoader

from seg import __version__
from seg.datasets.samplers import TaskBatchSampler
from seg.engine.class_counts import check_class_counts
from seg.engine.runner.activation_checkpointing import turn_on_activation_checkpointing
from seg.engine.runner.amp_optim_wrapper import MixedPrecisionOptimWrapper
from seg.engine.runner.distributed import (
    check_same_config,
    prepare_process_group,
    share_buffers,
    wrap_on_cpu,
)
from seg.engine.runner.heartbeat import Heartbeat
from seg.engine.runner.resuming import find_latest_checkpoint, resolve_resume
from seg.engine.runner.safe_loaders import install_safe_loaders
from seg.engine.runner.train_loop import ResumableTrainLoop
from seg.engine.runner.training_state import (
    capture_rng,
    pack_message_hub,
    restore_rng,
    to_plain,
    unpack_message_hub,
)
from seg.registry import RUNNERS
from seg.utils.checkpoints import load_weights, unwrap_state, write_checkpoint
from seg.utils.checks import UserError

install_safe_loaders()

# Seconds without a sign of life after which a process counts as lost.
_LONGEST_SILENCE = 60.0


@RUNNERS.register_module()
class SegRunner(Runner):
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

    _pending_rng: Mapping[str, Any] | None = None
    _train_rng: dict[str, Any] | None = None

    @classmethod
    def from_cfg(cls, cfg: Config) -> SegRunner:
        """Build a runner from a config; a run that resumes takes over the seed of its checkpoint.

        Raises:
            UserError: If ``resume`` names a checkpoint that is no training state.
        """
        return super().from_cfg(resolve_resume(cfg))

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
        logger = super().build_logger(log_level, log_file, **kwargs)
        for handler in logger.handlers:
            if type(handler) is logging.StreamHandler:
                handler.setStream(sys.stderr)
                handler.addFilter(_is_worth_showing)
        return logger

    def _log_env(self, env_cfg: dict[str, Any]) -> None:
        """Log one line about the machine; the config is written to the work folder anyway."""
        device = torch.cuda.get_device_name() if torch.cuda.is_available() else 'CPU'
        self.logger.info(
            f'seg {__version__}, torch {torch.__version__}, {device}, {self.world_size} '
            f'process(es), seed {self.seed}, work folder {self.work_dir}'
        )

    def get_hooks_info(self) -> str:
        """The hooks in the order of their priority, on one line."""
        return ', '.join(type(hook).__name__ for hook in self.hooks)

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

    def build_train_loop(self, loop: BaseLoop | dict[str, Any]) -> BaseLoop:
        """Build the training loop; one that counts iterations is a resumable one.

        Raises:
            UserError: If its data are empty or have other numbers of classes than the model.
        """
        if isinstance(loop, dict) and 'type' not in loop and loop.get('by_epoch') is False:
            loop = {**copy.deepcopy(loop), 'type': ResumableTrainLoop}
            loop.pop('by_epoch')
        return self._with_usable_data(super().build_train_loop(loop), 'train_dataloader')

    def build_val_loop(self, loop: BaseLoop | dict[str, Any]) -> BaseLoop:
        """Build the validation loop; its data have the classes of the model."""
        return self._with_usable_data(super().build_val_loop(loop), 'val_dataloader')

    def build_test_loop(self, loop: BaseLoop | dict[str, Any]) -> BaseLoop:
        """Build the test loop; its data have the classes of the model."""
        return self._with_usable_data(super().build_test_loop(loop), 'test_dataloader')

    def _with_usable_data(self, loop: BaseLoop, name: str) -> BaseLoop:
        if not len(loop.dataloader.dataset):
            raise UserError(
                f'{name}.dataset: expected samples, got none (after filtering); check its '
                'annotations and its filter settings'
            )
        metainfo = getattr(loop.dataloader.dataset, 'metainfo', None)
        check_class_counts(self._bare_model, metainfo or {}, name)
        return loop

    @staticmethod
    def build_dataloader(
        dataloader: DataLoader | dict[str, Any],
        seed: int | None = None,
        diff_rank_seed: bool = False,
    ) -> DataLoader:
        """Build a data loader that draws its own seeds from a generator of its own.

        Starting an iterator then leaves the random sequence of training alone.
        """
        loader = Runner.build_dataloader(dataloader, seed, diff_rank_seed)
        if loader.generator is None:
            loader.generator = torch.Generator().manual_seed(seed or 0)
        return loader

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

    def register_default_hooks(self, hooks: dict[str, Any] | None = None) -> None:
        """Register the hooks of the config; any of them can be turned off with ``None``."""
        given = hooks or {}
        host = ('runtime_info', 'timer', 'sampler_seed', 'logger', 'param_scheduler', 'checkpoint')
        super().register_default_hooks(
            {name: hook for name, hook in given.items() if hook is not None or name in host}
        )

    def register_hook(
        self, hook: Hook | dict[str, Any], priority: str | int | Priority | None = None
    ) -> None:
        """Register a hook.

        Raises:
            UserError: If there is one of its kind already and its class is ``only_one``.
        """
        super().register_hook(hook, priority)
        for kind, count in Counter(type(hook) for hook in self._hooks).items():
            if count > 1 and getattr(kind, 'only_one', False):
                raise UserError(
                    f'hooks: expected one {kind.__name__}, got {count}; default_hooks has one, '
                    'so remove it from custom_hooks'
                )

    # Running

    def train(self) -> nn.Module:
        """Train; returns the model.

        However training ends, hooks that have a method ``on_exit`` are told, to put right what
        they changed outside of the run, such as the terminal.

        Raises:
            UserError: If another process of the training died, naming it.
        """
        modules = self.cfg.pop('activation_checkpointing', None)
        if modules:
            turn_on_activation_checkpointing(self._bare_model, modules)
            self.logger.info(f'activations of {modules} are recomputed in the backward pass')
        heartbeat = self._start_heartbeat()
        try:
            return super().train()
        except RuntimeError as error:
            lost = heartbeat.find_lost() if heartbeat else ''
            if lost:
                raise UserError(lost) from error
            raise
        finally:
            if heartbeat:
                heartbeat.stop()
            self.call_hook('on_exit')

    def _start_heartbeat(self) -> Heartbeat | None:
        if not self.distributed or self.world_size == 1:
            return None
        dist_cfg = self.cfg.get('env_cfg', {}).get('dist_cfg', {})
        limit = min(float(dist_cfg.get('timeout', 1800)), _LONGEST_SILENCE)
        heartbeat = Heartbeat(self.rank, self.world_size, limit)
        heartbeat.start()
        return heartbeat

    def call_hook(self, fn_name: str, **kwargs: Any) -> None:
        """Call a stage of all hooks, keeping the random sequence of training apart.

        It is restored right before the first iteration of a resumed run, and validation (from the
        first hook before it to the last one after it) does not advance it. All processes validate
        with the running statistics of the first one, which are those in checkpoints.
        """
        if fn_name == 'before_val':
            self._train_rng = capture_rng()
            share_buffers(self._bare_model)
        for hook in self._hooks:
            stage: Callable[..., None] | None = getattr(hook, fn_name, None)
            if stage is not None:
                stage(self, **kwargs)
        if fn_name == 'after_val' and self._train_rng is not None:
            restore_rng(self._train_rng)
            self._train_rng = None
        if fn_name == 'before_train_epoch' and self._pending_rng is not None:
            restore_rng(self._pending_rng)
            self._pending_rng = None

    # Checkpoints

    def load_or_resume(self) -> None:
        """Load the weights that the config names, or continue an earlier run."""
        if self._has_loaded:
            return
        source = self._load_from
        if self._resume and source is None:
            source = find_latest_checkpoint(self.work_dir)
            if source is None:
                self.logger.warning(
                    f'--resume: found no checkpoint in {self.work_dir}, so training starts anew'
                )
        if source is None:
            return
        if self._resume:
            self.resume(str(source))
        else:
            self.load_checkpoint(str(source), strict=not isinstance(self._train_loop, BaseLoop))

    def load_checkpoint(
        self,
        filename: str,
        map_location: str | Callable[..., Any] = 'cpu',
        strict: bool = False,
        revise_keys: list[tuple[str, str]] | None = None,
    ) -> dict[str, Any]:
        """Load weights into the model.

        Args:
            filename: File or address of the checkpoint.
            map_location: Device to read to.
            strict: Whether everything must fit; otherwise what does not is logged.
            revise_keys: Accepted for MMEngine's sake; the prefix ``module.`` is always removed.

        Raises:
            FileNotFoundError: If there is no such file.
            UserError: If the file is no checkpoint, or its weights do not fit.
        """
        checkpoint = CheckpointLoader.load_checkpoint(filename, map_location, logger='silent')
        checkpoint = {**_without_weights(checkpoint), 'state_dict': unwrap_state(checkpoint)}
        self.call_hook('after_load_checkpoint', checkpoint=checkpoint)
        report = load_weights(self._bare_model, checkpoint['state_dict'], strict, name=filename)
        if not report.complete:
            self.logger.warning(f'{filename}: {report.summary()}')
        self._has_loaded = True
        self.logger.info(f'loaded {report.num_loaded} tensors from {filename}')
        return checkpoint

    def resume(
        self,
        filename: str,
        resume_optimizer: bool = True,
        resume_param_scheduler: bool = True,
        map_location: str | Callable[..., Any] = 'cpu',
    ) -> None:
        """Continue the run that wrote a checkpoint, exactly where it was.

        Raises:
            FileNotFoundError: If there is no such file.
            UserError: If the file holds weights only, or those of another model.
        """
        checkpoint = self.load_checkpoint(filename, map_location, strict=True)
        for key in ('meta', 'message_hub', 'optimizer', 'rng'):
            if key not in checkpoint:
                raise UserError(
                    f'--resume {filename}: expected a training state, got a file without {key!r}; '
                    'weights alone are started from with --cfg-options load_from=FILE'
                )
        self.train_loop._epoch = checkpoint['meta']['epoch']
        self.train_loop._iter = checkpoint['meta']['iter']
        unpack_message_hub(self.message_hub, checkpoint['message_hub'])
        if resume_optimizer:
            self.optim_wrapper.load_state_dict(checkpoint['optimizer'])
            self._load_gradients(checkpoint.get('gradients', []))
        if resume_param_scheduler:
            self._load_schedulers(checkpoint.get('param_schedulers', []))
        self._take_rng(checkpoint['rng'])
        self.logger.info(f'resumed at epoch {self.epoch}, iteration {self.iter}')

    def save_checkpoint(
        self,
        out_dir: str,
        filename: str,
        file_client_args: dict[str, Any] | None = None,
        save_optimizer: bool = True,
        save_param_scheduler: bool = True,
        meta: dict[str, Any] | None = None,
        by_epoch: bool = True,
        backend_args: dict[str, Any] | None = None,
    ) -> None:
        """Write a checkpoint atomically; every process must call this.

        Args:
            out_dir: Folder of the file.
            filename: Name of the file.
            file_client_args: Not supported, here for MMEngine's sake.
            save_optimizer: Whether to write what is needed to resume, not the weights alone.
            save_param_scheduler: Whether to write the schedulers' states.
            meta: More information to write; ``epoch`` and ``iter`` are set if they are absent.
            by_epoch: Whether an epoch has just ended, rather than an iteration.
            backend_args: Not supported, here for MMEngine's sake.

        Raises:
            OSError: If the file cannot be written; the one that was there before is kept.
        """
        if file_client_args or backend_args:
            raise UserError('save_checkpoint: expected a local folder, got storage arguments')
        random_states = all_gather_object(self._train_rng or capture_rng())
        gradients = all_gather_object(to_plain(self._pending_gradients())) if save_optimizer else []
        if not is_main_process():
            return
        checkpoint: dict[str, Any] = {
            'meta': self._meta(meta or {}, by_epoch),
            'state_dict': dict(self._bare_model.state_dict()),
            'message_hub': pack_message_hub(self.message_hub),
        }
        if save_optimizer:
            checkpoint['optimizer'] = self.optim_wrapper.state_dict()
            checkpoint['rng'] = random_states
            checkpoint['gradients'] = gradients
        if save_param_scheduler and self.param_schedulers is not None:
            checkpoint['param_schedulers'] = _scheduler_states(self.param_schedulers)
        self.call_hook('before_save_checkpoint', checkpoint=checkpoint)
        write_checkpoint(Path(out_dir) / filename, to_plain(checkpoint))

    @property
    def _bare_model(self) -> nn.Module:
        return self.model.module if is_model_wrapper(self.model) else self.model

    def _meta(self, given: dict[str, Any], by_epoch: bool) -> dict[str, Any]:
        dataset = self.train_dataloader.dataset
        return {
            'epoch': self.epoch + 1 if by_epoch else self.epoch,
            'iter': self.iter if by_epoch else self.iter + 1,
            'seed': self.seed,
            'cfg': self.message_hub.get_info('cfg', ''),
            'experiment_name': self.experiment_name,
            'time': time.strftime('%Y%m%d_%H%M%S', time.localtime()),
            'seg_version': __version__,
            'dataset_meta': dict(getattr(dataset, 'metainfo', {})),
            **given,
        }

    def _pending_gradients(self) -> dict[str, torch.Tensor]:
        """This process's gradients that wait for an update, when several iterations share one."""
        if isinstance(self.optim_wrapper, OptimWrapperDict) or self.optim_wrapper.should_update():
            return {}
        named = self._bare_model.named_parameters()
        return {name: value.grad for name, value in named if value.grad is not None}

    def _load_gradients(self, by_process: Any) -> None:
        """Put back the gradients of this process; older checkpoints hold those of one process."""
        if isinstance(by_process, Mapping):
            by_process = [by_process] * self.world_size
        if len(by_process) != self.world_size:
            return  # a warning is given with the random states
        parameters = dict(self._bare_model.named_parameters())
        for name, gradient in by_process[self.rank].items():
            parameters[name].grad = gradient.to(parameters[name].device)

    def _load_schedulers(self, states: list[Any] | Mapping[str, list[Any]]) -> None:
        schedulers = self.param_schedulers or []
        groups = (
            [(schedulers[name], states[name]) for name in schedulers]
            if isinstance(schedulers, dict) and isinstance(states, Mapping)
            else [(schedulers, states)]
        )
        for own, saved in groups:
            if len(own) != len(saved):
                raise UserError(
                    f'--resume: expected {len(own)} parameter schedulers as in the config, got '
                    f'{len(saved)} in the checkpoint; resume with the config of the run'
                )
            for scheduler, state in zip(own, saved, strict=True):
                scheduler.load_state_dict(state)

    def _take_rng(self, states: list[Mapping[str, Any]]) -> None:
        if len(states) == self.world_size:
            self._pending_rng = states[self.rank]
            return
        self.logger.warning(
            f'--resume: the checkpoint was written by {len(states)} processes and this run has '
            f'{self.world_size}, so random states and unfinished updates start anew'
        )


def _is_worth_showing(record: logging.LogRecord) -> bool:
    """Not the lines that MMEngine logs for every single parameter."""
    return not record.getMessage().startswith('paramwise_options')


def _without_weights(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in checkpoint.items() if not isinstance(v, torch.Tensor)}


def _scheduler_states(schedulers: Any) -> Any:
    if isinstance(schedulers, dict):
        return {name: _scheduler_states(group) for name, group in schedulers.items()}
    return [scheduler.state_dict() for scheduler in schedulers]
