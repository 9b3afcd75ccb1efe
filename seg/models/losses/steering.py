"""Losses that change while a model trains, and keep what they have learned out of its weights."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor, nn

from seg.utils.checks import UserError


class Steered(nn.Module, ABC):
    """A module that :class:`~seg.engine.hooks.SteeringHook` leads through a training.

    The hook says before every iteration how far the training is, ends the iteration on every
    process, and keeps the module's state in checkpoints, beside the weights rather than among
    them.
    """

    progress: float | None = None
    """Share of the training that is done, in [0, 1]; ``None`` outside of a training."""

    def begin_step(self, progress: float) -> None:
        """Take notice of the progress before an iteration."""
        self.progress = progress

    def end_step(self) -> None:
        """End an iteration; every process calls this once per iteration."""
        return

    @abstractmethod
    def steering_state(self) -> dict[str, Tensor]:
        """What a resumed training needs to go on exactly."""

    @abstractmethod
    def load_steering_state(self, state: dict[str, Tensor]) -> None:
        """Take up a state of :meth:`steering_state`."""

    def require_steering(self) -> float:
        """The progress of the training.

        Raises:
            UserError: If nobody tells it.
        """
        if self.progress is None:
            raise UserError(
                f'{type(self).__name__}: expected a training with SteeringHook, which tells how '
                'far it is, got one without; add dict(type=SteeringHook) to custom_hooks'
            )
        return self.progress


def hide_from_state(module: nn.Module, state: dict[str, Any], prefix: str, metadata: Any) -> None:
    """A hook for state dicts that takes a module's tensors out of the weights."""
    for name in [name for name in state if name.startswith(prefix)]:
        del state[name]
