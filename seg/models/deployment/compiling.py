"""Compiling the parts of a network whose shapes do not change."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch._dynamo.exc import TorchDynamoException
from torch.utils._pytree import tree_map

from seg.structures import Task
from seg.utils.checks import UserError, first_line
from seg.utils.devices import is_out_of_memory

_logger = logging.getLogger(__name__)


def compile_parts(model: Any, inputs: Tensor, *, allow_fallback: bool = False) -> bool:
    """Compile what a RapSAM runs to find objects in frames of one size, and warm it up.

    Backbone, neck, and each stage and the last part of the decoder become one graph each. Other
    sizes, other precisions of autocast, other numbers of threads, and prompted objects, whose
    number differs, go the usual way through those parts.
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
        torch.OutOfMemoryError: Or what the device raises, if there is no room to compute.
    """
    compiled = []
    for name, part in _parts(model):
        part.compile(fullgraph=True, dynamic=False)
        part._compiled_call_impl = known = _ForKnownKinds(part)
        try:
            _find_objects(model, inputs)
        except (TorchDynamoException, RuntimeError, MemoryError) as error:
            part._compiled_call_impl = None
            if is_out_of_memory(error):
                raise
            _give_up(name, error, allow_fallback)
            compiled.append(False)
        else:
            known.is_learning = False
            compiled.append(True)
    return all(compiled)


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


class _ForKnownKinds:
    """A compiled part for calls such as it was warmed up with; others go the usual way.

    A part that compiled itself anew for each kind would stop a program for minutes at any frame,
    and with an error after a few.

    Attributes:
        is_learning: Whether calls of a new kind are compiled.
    """

    def __init__(self, part: Any) -> None:
        self.is_learning = True
        self._usual, self._compiled = part._call_impl, part._compiled_call_impl
        self._kinds: list[Any] = []

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        kind = _surroundings(), tree_map(_kind_of, (args, kwargs))
        if kind not in self._kinds:
            if not self.is_learning:
                return self._usual(*args, **kwargs)
            self._kinds.append(kind)
        return self._compiled(*args, **kwargs)


def _surroundings() -> Any:
    """What a program is compiled for, besides its inputs."""
    return torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.get_num_threads()


def _kind_of(value: Any) -> Any:
    """What of a value a program is compiled for; how far apart single things are is nothing."""
    if not isinstance(value, Tensor):
        return value
    steps = [step for step, length in zip(value.stride(), value.shape, strict=True) if length > 1]
    kind = value.device.type
    precision = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None
    return value.shape, steps, value.dtype, precision, value.device, value.is_inference()


def _give_up(name: str, error: Exception, allow_fallback: bool) -> None:
    """Leave a part uncompiled with a warning, or refuse to go on."""
    reason = first_line(error)
    if not allow_fallback:
        raise UserError(
            f'compile: expected the {name} to compile, got: {reason}; on a CPU install a C++ '
            'compiler (g++), or do without compiling'
        ) from error
    _logger.warning('compile: the %s stays uncompiled: %s', name, reason)
