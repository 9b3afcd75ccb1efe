"""Linear layers in 8 bits, for processors."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import TypeVar

import torch
from torch import nn

from ext.sam.mask_decoder import ImageReadsTokens, TokensReadImage
from seg.utils.checks import UserError

M = TypeVar('M', bound=nn.Module)


def quantize(model: M) -> M:
    """A copy of a model whose linear layers compute in 8 bits, for inference on a processor.

    Weights are stored in 8 bits, inputs are rounded to 8 bits as they come ("dynamic"
    quantisation, which needs no calibration), with one scale for all rows of a call: an object's
    answer depends a little on what else is asked about the frame. Convolutions, attention's own
    projections and normalisations stay as they are, and so do layers whose weights are read by the
    module around them: those of open_clip's transformers, such as text towers, and of SAM's cross
    attention.

    Args:
        model: Any model in fp32 on the CPU.

    Returns:
        A new model in evaluation mode; its state is no checkpoint of the config.

    Raises:
        UserError: If the model is elsewhere or in another type, or this build of torch has no
            kernels for it.
    """
    parameter = next(model.parameters())
    if parameter.device.type != 'cpu' or parameter.dtype != torch.float32:
        raise UserError(
            f'model: expected fp32 weights on the CPU, got {parameter.dtype} on '
            f'{parameter.device}; load it with device="cpu"'
        )
    if set(torch.backends.quantized.supported_engines) <= {'none'}:
        raise UserError(
            'torch: expected kernels for 8 bits (fbgemm, qnnpack or onednn), got none; leave '
            'the model in fp32'
        )
    with warnings.catch_warnings():
        # The library that replaces it has no kernels for processors outside of its compiler.
        warnings.filterwarnings('ignore', message='.*torch.ao.quantization is deprecated')
        settings = dict.fromkeys(
            _linear_layers(model), torch.ao.quantization.default_dynamic_qconfig
        )
        return torch.ao.quantization.quantize_dynamic(model.eval(), settings, torch.qint8)


def _linear_layers(module: nn.Module, prefix: str = '') -> Iterator[str]:
    """Names of the layers that can compute in 8 bits."""
    if type(module) is nn.Linear:
        yield prefix
    reads_weights = isinstance(module, (TokensReadImage, ImageReadsTokens))
    if not (reads_weights or type(module).__module__.startswith('open_clip.transformer')):
        for name, child in module.named_children():
            yield from _linear_layers(child, f'{prefix}.{name}' if prefix else name)
