"""Leads losses that change during a training, and keeps their state."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from seg.engine.hooks.time_budget_hook import PROGRESS
from seg.models.losses.steering import Steered
from seg.registry import HOOKS

_KEY = 'steering'


@HOOKS.register_module()
class SteeringHook(Hook):
    """Tells schedules and balancers of losses how far a training is, and keeps their state.

    The progress is that of ``TimeBudgetHook`` where there is one, and the share of iterations
    otherwise; it is known before every iteration, so schedules follow iterations and resume by
    themselves. What has been learned besides, such as running means and projections of features, is
    in checkpoints under ``steering``, beside the weights of the model.
    """

    priority = 'ABOVE_NORMAL'

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Tell the progress."""
        by_iterations = runner.iter / runner.max_iters
        progress = float(runner.message_hub.get_info(PROGRESS, by_iterations))
        for module in _steered(runner).values():
            module.begin_step(progress)

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: dict[str, Any] | None = None,
    ) -> None:
        """End the iteration on every process."""
        for module in _steered(runner).values():
            module.end_step()

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Add the states."""
        checkpoint[_KEY] = {
            name: {key: value.cpu() for key, value in module.steering_state().items()}
            for name, module in _steered(runner).items()
        }

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Take up the states; a checkpoint of weights alone has none."""
        for name, state in checkpoint.get(_KEY, {}).items():
            _steered(runner)[name].load_steering_state(state)


def _steered(runner: Runner) -> dict[str, Steered]:
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    return {name: m for name, m in model.named_modules() if isinstance(m, Steered)}
