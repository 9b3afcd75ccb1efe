"""The stand-in module: which operators it carries and what the others say when called."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import NoReturn

from ext.mmcv_ops.attention import ms_deform_attn_backward, ms_deform_attn_forward
from ext.mmcv_ops.deform_conv import modulated_deform_conv_backward, modulated_deform_conv_forward
from ext.mmcv_ops.nms import nms, nms_match, softnms
from ext.mmcv_ops.roi_align import roi_align_backward, roi_align_forward
from seg.utils.checks import UserError

COMPILED_HINT = (
    'To compile them (20 minutes or more; needs a C++ compiler, for a GPU also the CUDA toolkit '
    'that torch was built with): pip install setuptools ninja && pip install '
    '--no-build-isolation --no-cache-dir --no-deps --force-reinstall --no-binary onedl-mmcv '
    'onedl-mmcv'
)


class MissingOperatorError(UserError, NotImplementedError):
    """An operator was called that the stand-in does not carry; its text says what to install."""


def get_compiler_version() -> str:
    """What MMEngine prints as mmcv's compiler."""
    return 'none (operators on torchvision, ext.mmcv_ops)'


def get_compiling_cuda_version() -> str:
    """What MMEngine prints as the CUDA version that mmcv was compiled with."""
    return 'not compiled'


CARRIED_OPS: dict[str, Callable[..., object]] = {
    op.__name__: op
    for op in (
        nms,
        softnms,
        nms_match,
        roi_align_forward,
        roi_align_backward,
        modulated_deform_conv_forward,
        modulated_deform_conv_backward,
        ms_deform_attn_forward,
        ms_deform_attn_backward,
        get_compiler_version,
        get_compiling_cuda_version,
    )
}


class StandIn(ModuleType):
    """A module in which every public name exists; names it does not carry raise when called."""

    def __getattr__(self, name: str) -> Callable[..., NoReturn]:
        if name.startswith('_'):
            raise AttributeError(f'module {self.__name__!r} has no attribute {name!r}')
        return missing_op(name)


def missing_op(name: str) -> Callable[..., NoReturn]:
    """A function in the place of an operator that is not carried.

    Args:
        name: The operator's name in ``mmcv._ext``.

    Returns:
        A function that takes anything and raises :class:`MissingOperatorError`.
    """

    def raise_missing(*args: object, **kwargs: object) -> NoReturn:
        raise MissingOperatorError(
            f'mmcv operator {name!r} is not available: this mmcv has no compiled operators and '
            f'the stand-in carries only {", ".join(sorted(CARRIED_OPS))}. {COMPILED_HINT}'
        )

    raise_missing.__name__ = name
    return raise_missing
