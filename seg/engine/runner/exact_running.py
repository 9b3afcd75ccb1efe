"""What makes runners exact: usable data, random sequences kept apart, lost processes named."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Priority, Runner
from mmengine.runner.base_loop import BaseLoop
from torch import nn
from torch.utils.data import DataLoader

from seg.engine.class_counts import check_class_counts
from seg.engine.runner.activation_checkpointing import turn_on_activation_checkpointing
from seg.engine.runner.distributed import share_buffers
from seg.engine.runner.exact_checkpoints import ExactCheckpoints
from seg.engine.runner.heartbeat import Heartbeat
from seg.engine.runner.resuming import resolve_resume
from seg.engine.runner.train_loop import ResumableTrainLoop
from seg.engine.runner.training_state import capture_rng, restore_rng
from seg.utils.checks import UserError
from seg.utils.safe_loaders import install_safe_loaders

install_safe_loaders()

# Seconds without a sign of life after which a process counts as lost.
_LONGEST_SILENCE = 60.0


class ExactRunning(ExactCheckpoints):
    """The part of a runner that MMEngine's Runner and FlexibleRunner have in common, mended.

    It goes before either of them in the bases of a class.
    """

    @classmethod
    def from_cfg(cls, cfg: Config) -> ExactRunning:
        """Build a runner from a config; a run that resumes takes over the seed of its checkpoint.

        Raises:
            UserError: If ``resume`` names a checkpoint that is no training state.
        """
        return super().from_cfg(resolve_resume(cfg))

    def get_hooks_info(self) -> str:
        """The hooks in the order of their priority, on one line."""
        return ', '.join(type(hook).__name__ for hook in self.hooks)

    # Building

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
