"""Trainings that end after a given time, and a learning rate that follows their progress."""

from __future__ import annotations

import math
from typing import Any

import torch
from mmengine.dist import broadcast, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner

from seg.engine.hooks.training_clock import TrainingClock
from seg.registry import HOOKS
from seg.utils.checks import UserError, unknown_name_message

PROGRESS = 'training_progress'


@HOOKS.register_module()
class TimeBudgetHook(Hook):
    """Ends a training by iterations cleanly once its time is used up.

    The iteration in which that happens becomes the last one, so the last checkpoint is written and
    the last validation runs; both come on top of the budget. Time goes on over interruptions.
    Every iteration publishes the share of the training that is done, for
    :class:`CosineByProgressHook`: the larger of time used and iterations run.

    Args:
        minutes: The budget, including validations on the way.
        measure: ``'wall'`` for elapsed time, ``'cpu'`` for that of this process and its workers.

    Raises:
        UserError: If ``minutes`` is not positive or ``measure`` is unknown.
    """

    priority = 'ABOVE_NORMAL'

    def __init__(self, minutes: float, measure: str = 'wall') -> None:
        if minutes <= 0:
            raise UserError(f'TimeBudgetHook.minutes: expected more than 0, got {minutes}')
        if measure not in ('wall', 'cpu'):
            raise UserError(
                unknown_name_message('TimeBudgetHook.measure', measure, ('wall', 'cpu'))
            )
        self.minutes = minutes
        self.measure = measure
        self._clock = TrainingClock()

    def before_train(self, runner: Runner) -> None:
        """Start the clock.

        Raises:
            UserError: If the training counts epochs.
        """
        if not hasattr(runner.train_loop, 'stop_after_this_iteration'):
            raise UserError(
                'TimeBudgetHook: expected a training by iterations, got one by epochs; use '
                'train_cfg=dict(by_epoch=False, max_iters=N)'
            )
        self._clock.start(runner)
        runner.message_hub.update_info(PROGRESS, self._progress(runner))

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: dict[str, Any] | None = None,
    ) -> None:
        """Publish the progress and end the training when the time is up."""
        self._clock.record(runner)
        progress = self._progress(runner)
        runner.message_hub.update_info(PROGRESS, progress)
        if progress >= 1 and runner.iter + 1 < runner.max_iters:
            runner.train_loop.stop_after_this_iteration()
            runner.logger.info(
                f'{self.minutes:g} {self.measure} minutes are used up: training ends after '
                f'iteration {runner.iter + 1}'
            )

    def _progress(self, runner: Runner) -> float:
        """Share of the training that is done, in [0, 1], the same on all processes."""
        used = self._clock.minutes()[self.measure] / self.minutes
        share = torch.tensor(min(1.0, max(used, runner.iter / runner.max_iters)))
        if get_world_size() > 1:
            broadcast(share)
        return float(share)


@HOOKS.register_module()
class CosineByProgressHook(Hook):
    """Warm-up and cosine decay of the learning rate over the progress of the training.

    It takes the place of ``param_scheduler`` where the length of the training is a time: with
    :class:`TimeBudgetHook` the decay ends when the time does, without it after ``max_iters``.
    A training whose length depends on the clock is not bit for bit repeatable.

    Args:
        warmup: Share of the training over which the rate rises linearly, in [0, 1).
        final_factor: Factor of the rate at the end, in [0, 1].

    Raises:
        UserError: If a number is out of its range.
    """

    priority = 'HIGHEST'

    def __init__(self, warmup: float = 0.02, final_factor: float = 0.01) -> None:
        for name, value in (('warmup', warmup), ('final_factor', final_factor)):
            if not 0 <= value <= 1 or (name == 'warmup' and value == 1):
                raise UserError(f'CosineByProgressHook.{name}: expected 0 to 1, got {value}')
        self.warmup = warmup
        self.final_factor = final_factor

    def before_train(self, runner: Runner) -> None:
        """Remember the rates that the factors apply to.

        Raises:
            UserError: If ``param_scheduler`` would change them too.
        """
        if runner.param_schedulers:
            raise UserError(
                'CosineByProgressHook: expected no param_scheduler, since both set the learning '
                'rate; set param_scheduler=None'
            )
        for group in runner.optim_wrapper.param_groups:
            group.setdefault('initial_lr', group['lr'])

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Set the rates of this iteration."""
        by_iterations = runner.iter / runner.max_iters
        factor = self.factor(runner.message_hub.get_info(PROGRESS, by_iterations))
        for group in runner.optim_wrapper.param_groups:
            group['lr'] = group['initial_lr'] * factor

    def factor(self, progress: float) -> float:
        """The factor of the learning rate at some progress in [0, 1]."""
        if progress < self.warmup:
            return max(progress / self.warmup, 1e-3)
        done = (progress - self.warmup) / (1 - self.warmup)
        cosine = (1 + math.cos(math.pi * min(done, 1.0))) / 2
        return self.final_factor + (1 - self.final_factor) * cosine
