"""A shipped config of SAM made so small that it trains in a test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.config import Config

from seg.engine.config_options import load_config
from seg.testing.reference_sam import TOY_SAM

CANVAS = (64, 64)


def toy_sam_config(path: Path, **model: Any) -> Config:
    """A config of SAM on Shapes with a toy model, four iterations and no pictures.

    Args:
        path: Config to start from, for example ``configs/sam/sam_tiny_shapes.py``.
        model: Settings of the model that replace its own.
    """
    cfg = load_config(path)
    cfg.model.update(dict(variant=TOY_SAM, image_size=CANVAS[0], **model))
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        loader = cfg[name]
        loader.update(batch_size=2, num_workers=0, persistent_workers=False)
        loader.dataset.update(num_samples=4)
        for step in loader.dataset.pipeline:
            if 'scale' in step:
                step['scale'] = CANVAS
    cfg.train_cfg.update(max_iters=4, val_interval=4)
    cfg.default_hooks.update(val_pictures=None, progress=None)
    cfg.vis_backends, cfg.visualizer = None, None
    return cfg
