"""Checkpoints of runners: written atomically, read safely, resumed from bit for bit."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from mmengine.dist import all_gather_object, is_main_process
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapperDict
from mmengine.runner import CheckpointLoader
from mmengine.runner.base_loop import BaseLoop
from torch import nn

from seg import __version__
from seg.engine.runner.resuming import find_latest_checkpoint
from seg.engine.runner.training_state import (
    capture_rng,
    pack_message_hub,
    to_plain,
    unpack_message_hub,
)
from seg.utils.checkpoints import load_weights, unwrap_state, write_checkpoint
from seg.utils.checks import UserError

if TYPE_CHECKING:
    from mmengine.runner import Runner as _Host
else:
    _Host = object

NOT_LOADED = 'not loaded from'
"""How the line begins that names every tensor that did not fit."""


class ExactCheckpoints(_Host):
    """How a runner loads, resumes and saves; see :class:`ExactRunning`, of which it is a part."""

    _pending_rng: Mapping[str, Any] | None = None
    _train_rng: dict[str, Any] | None = None

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
            strict: Whether everything must fit; otherwise what does not is logged, and an error
                only where it is nearly everything.
            revise_keys: Accepted for MMEngine's sake; the prefix ``module.`` is always removed.

        Raises:
            FileNotFoundError: If there is no such file.
            UserError: If the file is no checkpoint, or its weights do not fit.
        """
        checkpoint = CheckpointLoader.load_checkpoint(filename, map_location, logger='silent')
        checkpoint = {
            **_without_weights(checkpoint),
            'state_dict': unwrap_state(checkpoint, filename),
        }
        self.call_hook('after_load_checkpoint', checkpoint=checkpoint)
        model = self._bare_model
        state = self._spread(checkpoint['state_dict'], model.state_dict())
        report = load_weights(model, state, strict, name=filename)
        if not report.complete:
            self.logger.warning(f'{filename}: {report.summary()}; all names are in the log file')
            self.logger.info(f'{NOT_LOADED} {filename}: {report.names_in_full()}')
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
            self.optim_wrapper.load_state_dict(self._spread_optimizer(checkpoint['optimizer']))
            self._load_gradients(checkpoint.get('gradients', []))
        if resume_param_scheduler:
            self._load_schedulers(checkpoint.get('param_schedulers', []))
        self._take_rng(checkpoint['rng'])
        self.logger.info(f'resumed at epoch {self.epoch}, iteration {self.iter}')
        if self.iter >= self.max_iters:
            self.logger.warning(
                f'--resume: nothing is left to train, {filename} is at iteration {self.iter} of '
                f'{self.max_iters}; make the training longer to go on'
            )

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
        state = self._whole(dict(self._bare_model.state_dict()))
        training: dict[str, Any] = {}
        if save_optimizer:
            training['optimizer'] = self._whole(self.optim_wrapper.state_dict())
            training['rng'] = random_states
            pending = to_plain(self._whole(self._pending_gradients()))
            training['gradients'] = all_gather_object(pending)
        if not is_main_process():
            return
        checkpoint: dict[str, Any] = {
            'meta': self._meta(meta or {}, by_epoch),
            'state_dict': state,
            'message_hub': pack_message_hub(self.message_hub),
            **training,
        }
        if save_param_scheduler and self.param_schedulers is not None:
            checkpoint['param_schedulers'] = _scheduler_states(self.param_schedulers)
        self.call_hook('before_save_checkpoint', checkpoint=checkpoint)
        write_checkpoint(Path(out_dir) / filename, to_plain(checkpoint))

    def _whole(self, content: dict[str, Any]) -> dict[str, Any]:
        """Content with whole tensors, for runners whose tensors are spread over processes."""
        return content

    def _spread(self, state: dict[str, Any], own: Mapping[str, torch.Tensor]) -> dict[str, Any]:
        """Whole tensors, spread over processes as those of the same names are."""
        return state

    def _spread_optimizer(self, state: dict[str, Any]) -> dict[str, Any]:
        """The state of an optimizer, spread over processes as its parameters are."""
        return state

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
        for name, gradient in self._spread(by_process[self.rank], parameters).items():
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


def _without_weights(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in checkpoint.items() if not isinstance(v, torch.Tensor)}


def _scheduler_states(schedulers: Any) -> Any:
    """States without functions, such as the curve of OneCycleLR, which settings alone decide."""
    if isinstance(schedulers, dict):
        return {name: _scheduler_states(group) for name, group in schedulers.items()}
    return [
        {name: value for name, value in scheduler.state_dict().items() if not callable(value)}
        for scheduler in schedulers
    ]
