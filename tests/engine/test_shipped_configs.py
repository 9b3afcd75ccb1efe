from pathlib import Path

import pytest
from mmengine.config import Config

from seg.engine.config_check import check_config

CONFIGS = Path(__file__).parents[2] / 'configs'
SHIPPED = sorted(
    path.relative_to(CONFIGS).as_posix()
    for path in CONFIGS.rglob('*.py')
    if path.parent != CONFIGS and '_base_' not in path.parts
)


@pytest.mark.parametrize('name', SHIPPED)
def test_every_node_of_a_shipped_config_fits_what_it_builds(name):
    cfg = Config.fromfile(CONFIGS / name, format_python_code=False)
    check_config(cfg)
    assert 'model' in cfg


@pytest.mark.parametrize('name', SHIPPED)
def test_no_hook_is_listed_twice(name):
    cfg = Config.fromfile(CONFIGS / name, format_python_code=False)
    custom = [hook['type'].__name__ for hook in cfg.custom_hooks]
    kinds = [hook['type'].__name__ for hook in cfg.default_hooks.values()] + custom
    assert len(kinds) == len(set(kinds))
    assert {'ProgressHook', 'ValPictureHook'} <= set(kinds)
    assert 'TimeBudgetHook' not in custom[1:]  # documents change custom_hooks.0.minutes


@pytest.mark.parametrize('name', SHIPPED)
def test_what_is_validated_is_what_is_tested(name):
    """Else a change of the one would leave the other behind."""
    cfg = Config.fromfile(CONFIGS / name, format_python_code=False)
    if cfg.get('val_dataloader') is None:
        return
    assert cfg.test_dataloader == cfg.val_dataloader
    assert cfg.test_evaluator == cfg.val_evaluator
