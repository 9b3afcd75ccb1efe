"""Mixed precision on any device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.optim import OptimWrapper
from torch import Tensor, nn
from torch.optim import Optimizer

from seg.registry import OPTIM_WRAPPERS
from seg.utils.checks import UserError, unknown_name_message

_DTYPES = {'float16': torch.float16, 'bfloat16': torch.bfloat16}


@OPTIM_WRAPPERS.register_module()
class MixedPrecisionOptimWrapper(OptimWrapper):
    """Runs the forward pass in 16 bits: bfloat16 anywhere, or float16 with loss scaling on a GPU.

    Args:
        optimizer: The optimizer to wrap.
        dtype: ``'bfloat16'``, ``'float16'``, or ``'auto'``: bfloat16 where the device has it (any
            CPU, recent GPUs), else float16.
        loss_scale: First scale of the loss for float16; it adapts.
        accumulative_counts: Number of iterations whose gradients are added up for one update.
        clip_grad: Arguments of gradient clipping, see MMEngine's ``OptimWrapper``.

    Raises:
        UserError: If ``dtype`` is unknown, or float16 is asked for without a GPU.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        dtype: str = 'auto',
        loss_scale: float = 65536.0,
        accumulative_counts: int = 1,
        clip_grad: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(optimizer, accumulative_counts=accumulative_counts, clip_grad=clip_grad)
        self._device_type = optimizer.param_groups[0]['params'][0].device.type
        self.dtype = _choose_dtype(dtype, self._device_type)
        self._scaler = torch.amp.GradScaler(
            self._device_type, init_scale=loss_scale, enabled=self.dtype == torch.float16
        )

    def backward(self, loss: Tensor, **kwargs: Any) -> None:
        """Compute gradients of the scaled loss."""
        self._scaler.scale(loss).backward(**kwargs)
        self._inner_count += 1

    def step(self, **kwargs: Any) -> None:
        """Update the parameters; a float16 step with infinite gradients is left out."""
        if self.clip_grad_kwargs:
            self._scaler.unscale_(self.optimizer)
            self._clip_grad()
        self._scaler.step(self.optimizer, **kwargs)
        self._scaler.update()

    def state_dict(self) -> dict[str, Any]:
        """The optimizer's state with the loss scale."""
        return {**super().state_dict(), 'loss_scaler': self._scaler.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what :meth:`state_dict` returned; a state without a loss scale is accepted."""
        state = dict(state_dict)
        scaler = state.pop('loss_scaler', None)
        if scaler and self._scaler.is_enabled():
            self._scaler.load_state_dict(scaler)
        super().load_state_dict(state)

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """The forward pass in 16 bits."""
        with super().optim_context(model), torch.autocast(self._device_type, dtype=self.dtype):
            yield


def _choose_dtype(name: str, device_type: str) -> torch.dtype:
    if name == 'auto':
        has_bfloat16 = device_type != 'cuda' or torch.cuda.is_bf16_supported()
        return torch.bfloat16 if has_bfloat16 else torch.float16
    if name not in _DTYPES:
        raise UserError(unknown_name_message('optim_wrapper.dtype', name, [*_DTYPES, 'auto']))
    if name == 'float16' and device_type != 'cuda':
        raise UserError(
            "optim_wrapper.dtype: expected 'bfloat16' or 'auto' without a GPU, got 'float16'"
        )
    return _DTYPES[name]
