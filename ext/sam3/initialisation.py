"""First weights of a model that is trained from scratch."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

_LINEAR = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)


@torch.no_grad()
def initialise(model: Any) -> None:
    """Draw the weights of all modules anew, in place.

    Transformers draws all of them with a deviation of 0.02, which suits pretrained sizes: in a
    narrow model signals then fade from layer to layer, and all queries start as one and the same
    box. Here linear maps keep the size of what passes (Glorot and Bengio, 2010) and queries start
    apart, each with the box that it refers to unchanged by the first layers.

    Args:
        model: Has modules of :data:`~ext.sam3.architecture.SAM3_PARTS`.
    """
    for module in model.modules():
        if isinstance(module, _LINEAR):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight)
    last = model.detr_decoder.box_head.layer3
    nn.init.zeros_(last.weight)
