"""Trading compute for memory: activations of chosen modules are recomputed in the backward pass."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from torch import nn
from torch.utils.checkpoint import checkpoint

from seg.utils.checks import UserError, unknown_name_message


def turn_on_activation_checkpointing(model: nn.Module, modules: str | Sequence[str]) -> None:
    """Recompute the activations of modules instead of storing them.

    MMEngine's own is the reentrant kind, which loses keyword arguments, fails under DDP with unused
    parameters and needs an input with a gradient; this one has none of these limits.

    Args:
        model: The model.
        modules: Dotted names of submodules, such as ``'backbone.layer1'``.

    Raises:
        UserError: If the model has no submodule of that name.
    """
    names = [modules] if isinstance(modules, str) else list(modules)
    known = dict(model.named_modules())
    for name in names:
        if name not in known:
            tops = [key for key in known if key and key.count('.') <= name.count('.')]
            raise UserError(unknown_name_message('activation_checkpointing module', name, tops))
        module = known[name]
        module.forward = _recomputed(module.forward)


def _recomputed(forward: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(forward)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return checkpoint(forward, *args, use_reentrant=False, **kwargs)

    return wrapper
