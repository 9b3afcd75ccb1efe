"""Linear layers in 8 bits, for processors."""

from __future__ import annotations

import warnings
from typing import TypeVar

import torch
from torch import nn

from seg.utils.checks import UserError

M = TypeVar('M', bound=nn.Module)


def quantize(model: M) -> M:
    """A copy of a model whose linear layers compute in 8 bits, for inference on a processor.

    Weights are stored in 8 bits, inputs are rounded to 8 bits as they come ("dynamic"
    quantisation, which needs no calibration). Convolutions, attention's own projections and
    normalisations stay as they are.

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
        return torch.ao.quantization.quantize_dynamic(model.eval(), {nn.Linear}, torch.qint8)
