import json
import shutil

import pytest
import torch
from torch import Tensor

from seg.engine.config_options import load_config
from seg.engine.launch import build_runner
from seg.testing.toy_training import write_toy_config

KEEP_ALL = 'default_hooks.checkpoint.max_keep_ckpts=-1'
ACCUMULATE = 'optim_wrapper.accumulative_counts=3'
EMA = 'custom_hooks=[{"type": "EMAHook", "momentum": 0.1}]'
ONE_CYCLE = (
    'param_scheduler=[{"type": "OneCycleLR", "eta_max": 0.1, "total_steps": 20, "by_epoch": False}]'
)
FINITE = 'train_dataloader.sampler={"type": "DefaultSampler", "shuffle": True}'


def train(tmp_path, name: str, options=(), resume=None) -> dict[str, Tensor]:
    """Train the toy network; returns its weights at the end."""
    torch.set_num_threads(1)
    config = write_toy_config(tmp_path)
    cfg = load_config(config, [KEEP_ALL, *options])
    cfg['visualizer'], cfg['experiment_name'] = None, f'{tmp_path.name}_{name}'
    cfg['resume'], cfg['load_from'] = resume is not None, resume
    runner = build_runner(cfg, config, tmp_path / name)
    runner.train()
    return {key: value.clone() for key, value in runner.model.state_dict().items()}


def assert_identical(left: dict[str, Tensor], right: dict[str, Tensor]) -> None:
    assert left.keys() == right.keys()
    for key, value in left.items():
        assert torch.equal(value, right[key]), f'{key} differs'


@pytest.mark.parametrize(
    ('options', 'step'),
    [
        pytest.param([], 10, id='at a validation'),
        pytest.param(['default_hooks.checkpoint.interval=7'], 7, id='between validations'),
        pytest.param([ACCUMULATE], 10, id='between two updates'),
        pytest.param([EMA], 10, id='with moving average'),
        pytest.param([ONE_CYCLE], 10, id='with one cycle of the rate'),
        pytest.param([FINITE], 10, id='in the middle of an epoch'),
    ],
)
def test_resumed_training_equals_uninterrupted_one_bit_for_bit(tmp_path, options, step):
    expected = train(tmp_path, 'whole', options)
    resumed = train(tmp_path, 'resumed', options, str(tmp_path / 'whole' / f'iter_{step}.pth'))
    assert_identical(expected, resumed)


def test_resume_takes_over_the_seed_of_the_checkpoint(tmp_path):
    expected = train(tmp_path, 'whole', ['randomness.seed=7'])
    path = str(tmp_path / 'whole' / 'iter_5.pth')
    assert_identical(expected, train(tmp_path, 'resumed', ['randomness.seed=none'], path))


def test_validation_leaves_training_alone(tmp_path):
    often = train(tmp_path, 'often', ['train_cfg.val_interval=2'])
    assert_identical(often, train(tmp_path, 'never', ['train_cfg.val_interval=1000']))


def test_training_by_epochs_resumes_exactly(tmp_path):
    options = [
        'train_cfg={"by_epoch": True, "max_epochs": 4}',
        FINITE,
        'default_hooks.checkpoint.by_epoch=true',
        'default_hooks.checkpoint.interval=1',
    ]
    expected = train(tmp_path, 'whole', options)
    resumed = train(tmp_path, 'resumed', options, str(tmp_path / 'whole' / 'epoch_2.pth'))
    assert_identical(expected, resumed)


def test_curve_goes_on_where_the_checkpoint_was(tmp_path):
    train(tmp_path, 'run')
    (tmp_path / 'run' / 'iter_20.pth').unlink()
    train(tmp_path, 'run', resume=str(tmp_path / 'run' / 'iter_10.pth'))
    lines = (tmp_path / 'run' / 'learning_curve.jsonl').read_text().splitlines()
    assert [json.loads(line)['iteration'] for line in lines] == [5, 10, 15, 20]


def test_resume_without_path_finds_the_latest_in_a_moved_folder(tmp_path):
    expected = train(tmp_path, 'run')
    (tmp_path / 'run' / 'iter_20.pth').unlink()
    (tmp_path / 'run' / 'last_checkpoint').write_text(str(tmp_path / 'run' / 'iter_15.pth'))
    shutil.move(tmp_path / 'run', tmp_path / 'moved')
    from seg.engine.runner.resuming import find_latest_checkpoint

    found = find_latest_checkpoint(tmp_path / 'moved')
    assert found == tmp_path / 'moved' / 'iter_15.pth'
    assert_identical(expected, train(tmp_path, 'moved', resume=str(found)))
