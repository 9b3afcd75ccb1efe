import importlib
import os
import re
import signal
import time

import pytest
import torch
from mmengine.hooks import Hook

from seg.engine.config_options import load_config
from seg.engine.launch import build_runner
from seg.testing.processes import in_processes
from seg.testing.toy_training import write_toy_config
from seg.utils.checks import UserError

needs_fork = pytest.mark.skipif(torch.cuda.is_available(), reason='fork after CUDA has started')


def train(tmp_path, name: str, resume: bool = False, options=(), hooks=()) -> dict:
    """Train in one of several processes; the weights at the end."""
    config = tmp_path / 'toy_training.py'
    cfg = load_config(config, ['visualizer=none', *options])
    cfg['experiment_name'], cfg['resume'] = name, resume
    runner = build_runner(cfg, config, tmp_path / 'run', launcher='pytorch')
    for hook in hooks:
        runner.register_hook(hook)
    runner.train()
    return runner.model.module.state_dict()


@pytest.fixture
def folder(tmp_path):
    write_toy_config(tmp_path)
    for module in ('mmcv.ops', 'matplotlib.figure'):  # so that the processes need not do it each
        importlib.import_module(module)
    return tmp_path


def assert_identical(left: dict, right: dict) -> None:
    for key, value in left.items():
        assert torch.equal(value, right[key]), f'{key} differs'


@needs_fork
@pytest.mark.parametrize('accumulate', [1, 3])
def test_two_processes_on_the_cpu_agree_and_resume_exactly(folder, accumulate):
    options = [
        'default_hooks.checkpoint.max_keep_ckpts=-1',
        'find_unused_parameters=false',
        f'optim_wrapper.accumulative_counts={accumulate}',
    ]
    first, second = in_processes(lambda rank: train(folder, 'whole', options=options))
    assert_identical(first, second)
    for name in ('iter_20.pth', 'iter_15.pth'):
        (folder / 'run' / name).unlink()
    resumed = in_processes(lambda rank: train(folder, 'resumed', True, options))
    assert_identical(first, resumed[0])
    assert_identical(first, resumed[1])


class LeaveHook(Hook):
    """Sends this process a signal in the middle of the training."""

    def __init__(self, number):
        self.number = number

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if batch_idx == 4:
            os.kill(os.getpid(), self.number)


@needs_fork
@pytest.mark.parametrize(
    ('number', 'timeout'),
    [(signal.SIGKILL, 1800), (signal.SIGSTOP, 6)],
    ids=['dead', 'hanging'],
)
def test_a_lost_process_is_named_by_the_others(folder, number, timeout):
    def work(rank):
        hooks = [LeaveHook(number)] if rank == 1 else []
        options = [f'env_cfg.dist_cfg.timeout={timeout}']
        try:
            return train(folder, 'lost', options=options, hooks=hooks)
        except UserError as error:
            (folder / 'error.txt').write_text(str(error))
            raise

    started = time.monotonic()
    with pytest.raises(RuntimeError, match='process 0 failed'):
        in_processes(work)
    assert time.monotonic() - started < 90
    message = (folder / 'error.txt').read_text()
    assert re.match(r'process 1 \(.*\) of 2 is lost: it died or hangs; .*--resume', message)


@needs_fork
def test_processes_with_different_configs_are_refused(folder):
    def work(rank):
        with pytest.raises(UserError) as caught:
            train(folder, 'differ', options=[f'model.width={4 + rank}'])
        return str(caught.value)

    first, second = in_processes(work)
    assert first == second
    assert 'got model.width=4 in process 0 and 5 in process 1' in first


def test_launcher_without_torchrun_is_refused(tmp_path, monkeypatch):
    monkeypatch.delenv('RANK', raising=False)
    config = write_toy_config(tmp_path)
    with pytest.raises(UserError, match=r'expected torchrun.*tools/dist_train\.sh'):
        build_runner(load_config(config), config, tmp_path / 'run', launcher='pytorch')
