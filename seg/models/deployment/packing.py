"""A checkpoint of a training as a small file to ship."""

from __future__ import annotations

from pathlib import Path

import torch

from seg.utils.checkpoints import (
    read_checkpoint,
    read_dataset_meta,
    unwrap_state,
    write_safetensors,
)
from seg.utils.checks import UserError


def pack_weights(checkpoint: Path, out: Path, *, half: bool = True) -> int:
    """Write the weights of a checkpoint alone, with its classes.

    Args:
        checkpoint: What ``tools/train.py`` wrote.
        out: File to write, .safetensors.
        half: Whether single precision becomes half precision.

    Returns:
        How many tensors were written.

    Raises:
        UserError: If the name does not fit, or the checkpoint does not know its classes.
    """
    if out.suffix != '.safetensors':
        raise UserError(f'out: expected a name that ends in .safetensors, got {out}')
    content = read_checkpoint(checkpoint)
    meta = read_dataset_meta(checkpoint, content)
    if meta is None:
        raise UserError(
            f'{checkpoint}: expected class names (meta.dataset_meta), got none; take a '
            'checkpoint that tools/train.py wrote'
        )
    weights = unwrap_state(content, str(checkpoint))
    if half:
        weights = {
            name: tensor.half() if tensor.dtype == torch.float32 else tensor
            for name, tensor in weights.items()
        }
    write_safetensors(out, weights, {'dataset_meta': meta})
    return len(weights)
