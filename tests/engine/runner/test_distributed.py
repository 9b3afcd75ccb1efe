import importlib
import multiprocessing
import os
import socket

import pytest
import torch

from seg.engine.config_options import load_config
from seg.engine.launch import build_runner
from seg.testing.toy_training import write_toy_config
from seg.utils.checks import UserError


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def train(rank: int, port: int, tmp_path, name: str, resume: bool, options=()) -> None:
    """Train in one of two processes and leave the weights in a file."""
    os.environ.update(
        RANK=str(rank),
        LOCAL_RANK=str(rank),
        WORLD_SIZE='2',
        MASTER_ADDR='127.0.0.1',
        MASTER_PORT=str(port),
    )
    torch.set_num_threads(1)
    config = tmp_path / 'toy_training.py'
    cfg = load_config(config, ['visualizer=none', *options])
    cfg['experiment_name'], cfg['resume'] = name, resume
    runner = build_runner(cfg, config, tmp_path / 'run', launcher='pytorch')
    runner.train()
    torch.save(runner.model.module.state_dict(), tmp_path / f'{name}_{rank}.pt')


def in_two_processes(tmp_path, name: str, resume: bool = False, options=()) -> list[dict]:
    for module in ('mmcv.ops', 'matplotlib.figure'):  # so that the processes need not do it each
        importlib.import_module(module)
    processes, port = multiprocessing.get_context('fork'), free_port()
    started = [
        processes.Process(target=train, args=(rank, port, tmp_path, name, resume, options))
        for rank in range(2)
    ]
    for process in started:
        process.start()
    for process in started:
        process.join(120)
    assert [process.exitcode for process in started] == [0, 0]
    return [torch.load(tmp_path / f'{name}_{rank}.pt') for rank in range(2)]


def assert_identical(left: dict, right: dict) -> None:
    for key, value in left.items():
        assert torch.equal(value, right[key]), f'{key} differs'


@pytest.mark.skipif(torch.cuda.is_available(), reason='fork after CUDA has started')
def test_two_processes_on_the_cpu_agree_and_resume_exactly(tmp_path):
    write_toy_config(tmp_path)
    options = ['default_hooks.checkpoint.max_keep_ckpts=-1', 'find_unused_parameters=false']
    first, second = in_two_processes(tmp_path, 'whole', options=options)
    assert_identical(first, second)
    for name in ('iter_20.pth', 'iter_15.pth'):
        (tmp_path / 'run' / name).unlink()
    resumed = in_two_processes(tmp_path, 'resumed', resume=True, options=options)
    assert_identical(first, resumed[0])
    assert_identical(first, resumed[1])


def test_launcher_without_torchrun_is_refused(tmp_path, monkeypatch):
    monkeypatch.delenv('RANK', raising=False)
    config = write_toy_config(tmp_path)
    with pytest.raises(UserError, match=r'expected torchrun.*tools/dist_train\.sh'):
        build_runner(load_config(config), config, tmp_path / 'run', launcher='pytorch')
