"""The model that is measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from seg.apis.loading import read_config
from seg.engine.config_options import apply_options
from seg.registry import MODELS
from seg.utils.checkpoints import load_weights, read_weights
from seg.utils.checks import UserError, first_line
from seg.utils.devices import is_out_of_memory


def build_model(
    config: Path,
    checkpoint: Path | None,
    device: torch.device,
    options: Sequence[str] = (),
) -> tuple[Any, dict[str, Any]]:
    """A RapSAM in evaluation mode, and the settings of its backbone.

    Args:
        config: Of the model.
        checkpoint: Weights; random ones, the same every time, when left out.
        device: Where.
        options: Changes to the config, ``'KEY=VALUE'``.

    Raises:
        UserError: If the config is no RapSAM, or an option does not fit it.
    """
    from seg.models.detectors import RapSAM

    cfg = read_config(config)
    apply_options(cfg, options)
    torch.manual_seed(0)
    try:
        model: Any = MODELS.build(cfg.model)
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise
        raise UserError(
            f'{config}: expected settings that a model can be built of, got: {first_line(error)}; '
            'look at --cfg-options'
        ) from error
    if not isinstance(model, RapSAM):
        raise UserError(
            f'{config}: expected the config of a RapSAM, got {type(model).__name__}; other models '
            'stand beside it with --compare'
        )
    if checkpoint is not None:
        load_weights(model, read_weights(checkpoint), name=str(checkpoint))
    return model.to(device).eval(), cfg.model.backbone.to_dict()
