"""Parts of batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


def take_clips(features: Any, index: Sequence[int]) -> Any:
    """Some clips of a batch of features.

    Args:
        features: A tensor (B, ...), or a named tuple of such tensors and ``None``.
        index: Which clips.
    """
    if isinstance(features, Tensor):
        if list(index) == list(range(len(features))):
            return features  # the usual case, without a copy
        return features[torch.as_tensor(index, dtype=torch.long, device=features.device)]
    return type(features)(*(None if part is None else take_clips(part, index) for part in features))
