"""The shipped configs of SAM 3: they have their sizes, and the small one trains."""

import importlib.util

import pytest
import torch

from seg.engine.config_options import load_config
from seg.engine.launch import build_runner
from seg.registry import MODELS

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec('transformers') is None, reason='needs transformers'
)
PARAMETERS = {
    'standard_coco': 840_376_374,
    'larger_coco': 685_332_438,
    'depth_pruned_coco': 722_273_334,
    'lite_coco': 573_763_062,
    'smaller_coco': 439_680_438,
    'tiny_shapes': 3_940_132,
}


@pytest.mark.parametrize(('name', 'count'), PARAMETERS.items())
def test_sizes(repository, name, count):
    cfg = load_config(repository / f'configs/sam3/sam3_{name}.py')
    with torch.device('meta'):
        model = MODELS.build(cfg.model)

    assert sum(value.numel() for value in model.parameters()) == count


def test_the_small_model_trains_and_is_scored(repository, tmp_path):
    path = repository / 'configs/sam3/sam3_tiny_shapes.py'
    cfg = load_config(path)
    for name in ('train_dataloader', 'val_dataloader'):
        cfg[name].update(batch_size=2, num_workers=0, persistent_workers=False)
        cfg[name].dataset.update(num_samples=4)
    cfg.train_cfg.update(max_iters=2, val_interval=2)
    cfg.default_hooks.update(val_pictures=None, progress=None)
    cfg.vis_backends, cfg.visualizer = None, None
    runner = build_runner(cfg, path, tmp_path)
    runner.train()
    values = {k: v.current() for k, v in runner.message_hub.log_scalars.items()}

    assert values['train/loss'] > 0
    assert {'val/concept/cgF1', 'val/concept/pmF1', 'val/concept/IL_MCC'} <= set(values)
