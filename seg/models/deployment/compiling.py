"""Compiling the parts of a network whose shapes do not change."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch._dynamo.exc import TorchDynamoException
from torch.utils._pytree import tree_map

from seg.structures import Task
from seg.utils.checks import UserError

_logger = logging.getLogger(__name__)


def compile_parts(model: Any, inputs: Tensor, *, allow_fallback: bool = False) -> bool:
    """Compile what a RapSAM runs to find objects in frames of one size, and warm it up.

    Backbone, neck, and each stage and the last part of the decoder become one graph each. Other
    sizes, and prompted objects, whose number differs, go the usual way through those parts.
    Compiling takes a minute or more, and less in later processes, as PyTorch keeps what it compiled
    in a folder. On a CPU a C++ compiler is needed, so this is nobody's default.

    Args:
        model: A :class:`~seg.models.detectors.RapSAM`; changed in place.
        inputs: An example, normalised, (B, T, 3, H, W).
        allow_fallback: Whether a part that cannot be compiled stays as it is, with a warning.

    Returns:
        Whether all parts are compiled.

    Raises:
        UserError: If one cannot be compiled and ``allow_fallback`` is off.
        torch.OutOfMemoryError: If there is no room for what it computes.
    """
    compiled = True
    for name, part in _parts(model):
        part.compile(fullgraph=True, dynamic=False)
        part._compiled_call_impl = _ForOneKind(part)
        try:
            _find_objects(model, inputs)
        except torch.OutOfMemoryError:
            part._compiled_call_impl = None
            raise
        except (TorchDynamoException, RuntimeError) as error:
            _give_up(part, name, error, allow_fallback)
            compiled = False
    return compiled


def _find_objects(model: Any, inputs: Tensor) -> None:
    """Run the network in both modes that programs use it in; a program is compiled for one."""
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            features = model.extract_feat(inputs.clone())
            model.head(*features, model.head.router.routes[Task.PANOPTIC])


def _parts(model: Any) -> Iterator[tuple[str, Any]]:
    """What is compiled, in the order in which it runs, with names for messages."""
    yield 'backbone', model.backbone
    yield 'neck', model.neck
    for stage in model.head.stages:
        yield 'decoder', stage
    yield 'decoder', model.head.object_adapter


class _ForOneKind:
    """A compiled part for inputs as those of its first call; others go the usual way.

    Compiling is left to the first call. A part that compiled itself anew for each kind would stop
    a program for minutes at any frame, and with an error after a few.
    """

    def __init__(self, part: Any) -> None:
        self._usual, self._compiled = part._call_impl, part._compiled_call_impl
        self._kind: Any = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        kind = tree_map(_kind_of, (args, kwargs))
        if self._kind is None:
            self._kind = kind
        return (self._compiled if kind == self._kind else self._usual)(*args, **kwargs)


def _kind_of(value: Any) -> Any:
    """What of a value a program is compiled for."""
    if isinstance(value, Tensor):
        return tuple(value.shape), value.dtype, value.device
    return value


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
