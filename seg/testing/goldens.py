"""Weights and inputs of golden cases: pure functions of names, shapes and a seed."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor


def golden_tensor(name: str, shape: Sequence[int], seed: int) -> Tensor:
    """Value of one weight of a golden case.

    Args:
        name: Its name in the published checkpoint; decides the random stream and the scale.
        shape: Its shape.
        seed: Seed of the case.

    Returns:
        float32, or int64 zeros for batch counters.
    """
    shape = tuple(shape)
    if name.endswith('num_batches_tracked'):
        return torch.zeros(shape, dtype=torch.int64)
    stream = np.random.Generator(np.random.PCG64([seed, zlib.crc32(name.encode())]))
    if name.endswith('running_var'):
        return _float32(stream.uniform(0.5, 1.5, shape))
    noise = stream.standard_normal(shape)
    if name.endswith(('running_mean', 'bias')):
        return _float32(0.1 * noise)
    if len(shape) < 2:  # scale of a normalisation layer
        return _float32(1.0 + 0.1 * noise)
    spread = 0.3 if '.dcn_offset.' in name else 1.0  # offsets of about one pixel
    return _float32(spread * noise / np.sqrt(np.prod(shape[1:])))


def golden_weights(shapes: Mapping[str, Sequence[int]], seed: int) -> dict[str, Tensor]:
    """State dict of a golden case in the published names."""
    return {name: golden_tensor(name, shape, seed) for name, shape in shapes.items()}


def golden_prototypes(num_classes: int, embed_channels: int, seed: int) -> Tensor:
    """Unit text embeddings, one per class, (K, 1, D)."""
    rows = _stream(seed, 7).standard_normal((num_classes, 1, embed_channels))
    return _float32(rows / np.linalg.norm(rows, axis=-1, keepdims=True))


def golden_features(shape: Sequence[int], seed: int, tag: int) -> Tensor:
    """White noise of any shape, float32."""
    return _float32(_stream(seed, 1000 + tag).standard_normal(tuple(shape)))


def _stream(seed: int, tag: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64([seed, tag]))


def _float32(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.asarray(values, dtype=np.float32))
