"""Weights of losses that follow the losses themselves, equal on all processes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence

import torch
from mmengine.dist import is_distributed
from torch import Tensor, nn
from torch import distributed as torch_dist

from seg.models.losses.steering import Steered, hide_from_state
from seg.registry import MODELS
from seg.utils.checks import UserError


class LossBalancer(Steered):
    """Weighs the losses against ground truth, which have their own weights already.

    What comes from a teacher is weighed by a schedule, so it is not balanced here. Its state is
    no part of the model's weights, see :class:`Steered`.
    """

    names: tuple[str, ...] = ()

    def __init__(self) -> None:
        super().__init__()
        self.register_state_dict_post_hook(hide_from_state)

    def bind(self, names: Sequence[str]) -> None:
        """Learn the names of the losses, at least two.

        Raises:
            UserError: If there is nothing to balance.
        """
        if len(names) < 2:
            raise UserError(
                f'criterion.balancer: expected at least two losses, got {list(names)}; add mask '
                'losses, set iou_weight, or leave the balancer out'
            )
        self.names = tuple(names)
        self.prepare(len(names))

    @abstractmethod
    def prepare(self, count: int) -> None:
        """Make room for so many losses."""

    @abstractmethod
    def weights(self) -> Tensor:
        """The current weight of each loss, (K,), float32; 1 is what it would be unbalanced."""

    @abstractmethod
    def forward(self, losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The same losses, weighed."""

    def steering_state(self) -> dict[str, Tensor]:
        """All tensors of the balancer."""
        tensors = [*self.named_parameters(), *self.named_buffers()]
        return {name: value.detach().clone() for name, value in tensors}

    @torch.no_grad()
    def load_steering_state(self, state: dict[str, Tensor]) -> None:
        """Take up all tensors of the balancer."""
        for name, value in [*self.named_parameters(), *self.named_buffers()]:
            value.copy_(state[name])


class ObservingBalancer(LossBalancer):
    """A balancer that follows the mean of each loss over the processes."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: Tensor | None = None

    def forward(self, losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Weigh the losses, and remember them until the iteration ends."""
        self.require_steering()
        values = torch.stack([losses[name] for name in self.names])
        seen = torch.cat([values.detach().float(), values.new_ones(1).float()])
        self._seen = seen if self._seen is None else self._seen + seen
        weights = self.weights().to(values)
        return {name: weights[i] * losses[name] for i, name in enumerate(self.names)}

    @torch.no_grad()
    def end_step(self) -> None:
        """Average what the processes have seen, and follow it."""
        buffer = next(self.buffers())
        seen = self._seen if self._seen is not None else buffer.new_zeros(len(self.names) + 1)
        self._seen = None
        if is_distributed():
            torch_dist.all_reduce(seen)
        if seen[-1] > 0:
            self.follow(seen[:-1] / seen[-1])

    @abstractmethod
    def follow(self, means: Tensor) -> None:
        """Take notice of the mean losses of one iteration, (K,)."""


@MODELS.register_module()
class DynamicWeightAverage(ObservingBalancer):
    """Losses that fall more slowly than the others count more.

    Source: Liu et al., "End-to-End Multi-Task Learning with Attention", CVPR 2019, equation 7,
    with means over a number of iterations in the place of epochs, and ratios clamped to
    [0.5, 2].

    Args:
        period: Iterations whose mean is compared with that of the same number before.
        temperature: How even the weights are.
    """

    totals: Tensor
    history: Tensor

    def __init__(self, period: int = 100, temperature: float = 2.0) -> None:
        super().__init__()
        if period < 1 or temperature <= 0:
            raise UserError(
                'DynamicWeightAverage: expected period >= 1 and temperature > 0, got '
                f'{period} and {temperature}'
            )
        self.period = period
        self.temperature = temperature

    def prepare(self, count: int) -> None:
        """Make room for running sums and the means of the last two periods."""
        self.register_buffer('totals', torch.zeros(count + 1))
        self.register_buffer('history', torch.zeros(2, count))

    def weights(self) -> Tensor:
        """1 until two periods are over."""
        before, last = self.history
        if not bool(before.any()):
            return torch.ones_like(last)
        ratio = (last / before.clamp(min=1e-8)).clamp(0.5, 2.0)
        return len(ratio) * (ratio / self.temperature).softmax(dim=0)

    def follow(self, means: Tensor) -> None:
        """Add to the running sums; the end of a period makes them the last mean."""
        self.totals += torch.cat([means, means.new_ones(1)])
        if self.totals[-1] >= self.period:
            self.history.copy_(torch.stack([self.history[1], self.totals[:-1] / self.totals[-1]]))
            self.totals.zero_()


@MODELS.register_module()
class EmaRatio(ObservingBalancer):
    """Every loss is brought to the same size: weights are inverse to its running mean.

    Args:
        momentum: Share of the running mean that stays in an iteration, in [0, 1).
    """

    means: Tensor

    def __init__(self, momentum: float = 0.99) -> None:
        super().__init__()
        if not 0 <= momentum < 1:
            raise UserError(f'EmaRatio.momentum: expected a number in [0, 1), got {momentum}')
        self.momentum = momentum

    def prepare(self, count: int) -> None:
        """Make room for the running means."""
        self.register_buffer('means', torch.zeros(count))

    def weights(self) -> Tensor:
        """1 before the first iteration has ended; their mean is always 1."""
        if not bool(self.means.any()):
            return torch.ones_like(self.means)
        inverse = 1 / self.means.clamp(min=1e-6)
        return inverse / inverse.mean()

    def follow(self, means: Tensor) -> None:
        """Move the running means."""
        started = bool(self.means.any())
        self.means.copy_(self.means.lerp(means, 1 - self.momentum) if started else means)


@MODELS.register_module()
class UncertaintyWeights(LossBalancer):
    """Learned weights ``exp(-s)``, kept from zero by adding ``s`` to the loss.

    Source: Kendall et al., "Multi-Task Learning Using Uncertainty to Weigh Losses", CVPR 2018,
    equation 7, with ``s`` clamped to [-4, 4]. Give ``s`` a rate of its own and no weight decay:
    ``paramwise_cfg=dict(custom_keys={'balancer.log_vars': dict(lr_mult=10, decay_mult=0)})``.
    """

    log_vars: nn.Parameter

    def prepare(self, count: int) -> None:
        """Start with all weights at 1."""
        self.log_vars = nn.Parameter(torch.zeros(count))

    def weights(self) -> Tensor:
        """The learned weights."""
        return torch.exp(-self.log_vars.clamp(-4, 4)).detach()

    def forward(self, losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Weigh the losses and add what keeps the weights from zero."""
        self.require_steering()
        scales = self.log_vars.clamp(-4, 4)
        return {
            name: torch.exp(-scales[i]) * losses[name] + scales[i]
            for i, name in enumerate(self.names)
        }
