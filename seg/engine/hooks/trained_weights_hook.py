"""Checkpoints without the weights that nobody changed."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from seg.models.peft.delta import frozen_names, needs_base, weights_hash, with_base, without_base
from seg.registry import HOOKS


@HOOKS.register_module()
class TrainedWeightsHook(Hook):
    """Writes only trained weights into checkpoints, and completes such checkpoints when they load.

    A checkpoint remembers a fingerprint of the weights it was trained on; loading it into a model
    with others is an error. The model gets its base weights from ``model.init_cfg``.
    """

    priority = 'VERY_LOW'

    def __init__(self) -> None:
        self._base_hash: str | None = None

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Leave out what is frozen."""
        model = _bare_model(runner)
        if self._base_hash is None:  # frozen weights stay what they are
            self._base_hash = weights_hash(model.state_dict(), frozen_names(model))
        without_base(checkpoint, model, self._base_hash)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Put in what was left out.

        Raises:
            UserError: If the model has other base weights.
        """
        if needs_base(checkpoint):
            checkpoint['state_dict'] = with_base(
                checkpoint['state_dict'], checkpoint['meta'], _bare_model(runner), 'the checkpoint'
            )


def _bare_model(runner: Runner) -> Any:
    return runner.model.module if is_model_wrapper(runner.model) else runner.model
