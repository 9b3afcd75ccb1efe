"""The model that is measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from seg.apis.loading import read_config
from seg.registry import MODELS
from seg.utils.checkpoints import load_weights, read_weights
from seg.utils.checks import UserError


def build_model(config: Path, checkpoint: Path | None, device: torch.device) -> tuple[Any, int]:
    """A RapSAM in evaluation mode, and the depth of its ResNet.

    Args:
        config: Of the model.
        checkpoint: Weights; random ones, the same every time, when left out.
        device: Where.

    Raises:
        UserError: If the config is no RapSAM.
    """
    from seg.models.detectors import RapSAM

    cfg = read_config(config)
    torch.manual_seed(0)
    model: Any = MODELS.build(cfg.model)
    if not isinstance(model, RapSAM):
        raise UserError(
            f'{config}: expected the config of a RapSAM, got {type(model).__name__}; other models '
            'stand beside it with --compare'
        )
    if checkpoint is not None:
        load_weights(model, read_weights(checkpoint), name=str(checkpoint))
    return model.to(device).eval(), cfg.model.backbone.get('depth', 50)
