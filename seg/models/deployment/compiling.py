"""Compiling the parts of a network whose shapes do not change."""

from __future__ import annotations

import logging
from typing import Any

import torch
from torch import Tensor, nn
from torch._dynamo.exc import TorchDynamoException

from seg.utils.checks import UserError

_logger = logging.getLogger(__name__)


def compile_parts(model: Any, inputs: Tensor, *, allow_fallback: bool = False) -> bool:
    """Compile backbone and neck of a RapSAM for one size of input, and warm them up.

    Each becomes one graph. Another size compiles anew, which takes minutes: feed frames of one
    size. On a CPU a C++ compiler is needed, so this is nobody's default.

    Args:
        model: A :class:`~seg.models.detectors.RapSAM`; changed in place.
        inputs: An example, normalised, (B, T, 3, H, W).
        allow_fallback: Whether a part that cannot be compiled stays as it is, with a warning.

    Returns:
        Whether both parts are compiled.

    Raises:
        UserError: If one cannot be compiled and ``allow_fallback`` is off.
        torch.OutOfMemoryError: If there is no room for what it computes.
    """
    compiled = True
    with torch.inference_mode():
        feats: Any = inputs.flatten(0, 1)
        for name in ('backbone', 'neck'):
            part: nn.Module = getattr(model, name)
            part.compile(fullgraph=True, dynamic=False)
            try:
                feats = part(feats)
            except torch.OutOfMemoryError:
                part._compiled_call_impl = None
                raise
            except (TorchDynamoException, RuntimeError) as error:
                _give_up(part, name, error, allow_fallback)
                compiled = False
                feats = part(feats)
    return compiled


def _give_up(part: nn.Module, name: str, error: Exception, allow_fallback: bool) -> None:
    """Undo the compilation of a part, or refuse to go on."""
    part._compiled_call_impl = None
    reason = str(error).strip().splitlines()[0][:200]
    if not allow_fallback:
        raise UserError(
            f'compile: expected the {name} to compile, got: {reason}; on a CPU install a C++ '
            'compiler (g++), or allow the fallback to eager (--allow-fallback)'
        ) from error
    _logger.warning('compile: the %s stays uncompiled: %s', name, reason)
