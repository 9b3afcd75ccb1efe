"""A training of seconds that goes the way of a real one: tiny RapSAM, two tasks, Shapes."""

from __future__ import annotations

from pathlib import Path

from mmengine.config import Config

import seg
from seg.engine.config_options import load_config
from seg.models.detectors import RapSAM
from seg.testing.tiny_rapsam import tiny_rapsam_cfg

NANO = Path(seg.__file__).parent.parent / 'configs' / 'rap_sam' / 'rap_sam_nano_quick_shapes.py'
_SIZE = (64, 96)


def tiny_training_cfg(*, max_iters: int = 8, num_workers: int = 0) -> Config:
    """The nano model's config with everything made small; nothing in it follows the clock.

    Args:
        max_iters: Length of the training; validation runs once in the middle and at the end.
        num_workers: Workers of the training's data loader.
    """
    cfg = load_config(NANO)
    # Put together first, since the dicts of a config merge.
    model = tiny_rapsam_cfg(faithful=False)
    model['type'] = RapSAM
    model['neck']['norm_cfg'] = dict(type='GN', num_groups=2)
    criterion = dict(type='SegmentCriterion', sampling=dict(type='GridSampling'))
    model['head'].update(num_things=8, num_stuff=3, criterion=criterion)
    cfg.model = model
    train, val = cfg.train_dataloader, cfg.val_dataloader
    train.update(batch_size=2, num_workers=num_workers, persistent_workers=num_workers > 0)
    val.update(batch_size=2, num_workers=0)
    for loader, num_samples in ((train, 50), (val, 2)):
        for source in loader.dataset.sources.values():
            source.update(num_samples=num_samples, size=_SIZE)
            for step in source.pipeline:
                if 'scale' in step:
                    step.scale = _SIZE
    cfg.test_dataloader = val
    cfg.train_cfg.update(max_iters=max_iters, val_interval=max(max_iters // 2, 1))
    cfg.custom_hooks, cfg.visualizer = [], None
    cfg.default_hooks.update(val_pictures=None, progress=None)
    cfg.default_hooks.checkpoint.update(interval=3, save_best=None, max_keep_ckpts=2)
    return cfg
