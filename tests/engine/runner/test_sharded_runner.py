"""Models spread over two processes on the CPU."""

import pytest
import torch
from torch.optim import SGD, AdamW

from seg.engine.launch import build_runner
from seg.engine.runner import FullyShardStrategy, ShardedRunner
from seg.testing.processes import in_processes
from seg.testing.tiny_training import NANO, tiny_training_cfg
from seg.utils.checkpoints import read_checkpoint
from seg.utils.checks import UserError

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason='fork after CUDA has started')


def config(sharded, optimizer=SGD, **changes):
    cfg = tiny_training_cfg(max_iters=6)
    cfg.optim_wrapper.optimizer = dict(type=optimizer, lr=1e-3, weight_decay=0.01)
    if optimizer is SGD:
        cfg.optim_wrapper.optimizer.momentum = 0.9
    cfg.default_hooks.checkpoint.max_keep_ckpts = -1
    if sharded:
        cfg.runner_type, cfg.strategy = ShardedRunner, dict(type=FullyShardStrategy)
    cfg.merge_from_dict(changes)
    return cfg


def train(cfg, folder, resume_from=None):
    """Train in two processes; the last checkpoint, and how many numbers each process held."""
    cfg['resume'], cfg['load_from'] = resume_from is not None, resume_from

    def work(rank):
        runner = build_runner(cfg, NANO, folder, launcher='pytorch')
        runner.train()
        parts = [getattr(p, '_local_tensor', p) for p in runner.model.parameters()]
        return sum(part.numel() for part in parts)

    held = in_processes(work)
    return read_checkpoint(folder / 'iter_6.pth'), held


@pytest.fixture(scope='module', autouse=True)
def imports(tmp_path_factory):
    """Once, so that the processes need not."""
    build_runner(tiny_training_cfg(), NANO, tmp_path_factory.mktemp('warm'))


def assert_alike(left, right, tolerance):
    for name, value in left['state_dict'].items():
        torch.testing.assert_close(right['state_dict'][name], value, atol=tolerance, rtol=0)
    states = [content['optimizer']['state'] for content in (left, right)]
    assert states[0].keys() == states[1].keys()
    for index, slots in states[0].items():
        for key, value in slots.items():
            torch.testing.assert_close(states[1][index][key], value, atol=tolerance, rtol=1e-4)


def test_a_sharded_model_trains_as_copies_of_it_do(tmp_path):
    copied, whole = train(config(sharded=False), tmp_path / 'copied')
    sharded, held = train(config(sharded=True), tmp_path / 'sharded')

    assert max(held) < 0.6 * whole[0]
    assert sum(held) == whole[0]
    assert list(sharded['state_dict']) == list(copied['state_dict'])
    assert_alike(copied, sharded, tolerance=1e-5)
    # A run goes on with or without shards.
    middle = str(tmp_path / 'sharded' / 'iter_3.pth')
    resumed, _ = train(config(sharded=False), tmp_path / 'resumed', middle)
    assert_alike(copied, resumed, tolerance=1e-5)


@pytest.mark.parametrize('accumulate', [1, 2])
def test_a_sharded_training_resumes_exactly(tmp_path, accumulate):
    changes = {'optim_wrapper.accumulative_counts': accumulate, 'train_cfg.val_interval': 1000}
    expected, _ = train(config(True, AdamW, **changes), tmp_path / 'whole')
    middle = str(tmp_path / 'whole' / 'iter_3.pth')
    resumed, _ = train(config(True, AdamW, **changes), tmp_path / 'resumed', middle)

    assert_alike(expected, resumed, tolerance=0)


def refused(cfg, folder, launcher='pytorch'):
    with pytest.raises(UserError) as caught:
        build_runner(cfg, NANO, folder, launcher=launcher).train()
    return str(caught.value)


def test_what_cannot_be_sharded_is_refused(tmp_path):
    wrong = {
        'names': config(True, **{'strategy.modules': ['bakbone']}),
        'sources': config(True, **{'train_dataloader.batch_sampler.same_source': False}),
        'average': config(True, custom_hooks=[dict(type='EMAHook')]),
        'no strategy': config(True, strategy=None),
    }
    told, _ = in_processes(lambda rank: [refused(c, tmp_path) for c in wrong.values()])

    assert "unknown strategy.modules entry 'bakbone'" in told[0]
    assert 'same_source: expected True for a sharded model' in told[1]
    assert 'expected no EMAHook' in told[2]
    assert 'strategy: expected one for ShardedRunner' in told[3]
    alone = refused(config(sharded=True), tmp_path, launcher='none')
    assert 'expected several processes, got one' in alone
