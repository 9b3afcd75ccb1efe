"""The benchmark of training steps, without the training."""

import importlib.util
import json
import time
from types import SimpleNamespace

import pytest

from seg.engine.config_check import check_config
from seg.engine.hooks import StepCostHook
from seg.registry import MODELS
from seg.structures import ClipSample


@pytest.fixture(scope='module')
def bench(repository):
    path = repository / 'tools' / 'analysis_tools' / 'bench_train.py'
    spec = importlib.util.spec_from_file_location('bench_train', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


ARGS = SimpleNamespace(iters=4, skip=2, workers=2)


@pytest.mark.parametrize('case', ['nano', 'r50_crops', 'r50_full'])
def test_every_case_is_a_config_that_fits(bench, case):
    import torch

    cfg = bench.config_of(case, ARGS)
    check_config(cfg)
    with torch.device('meta'):
        MODELS.build(cfg.model)

    assert cfg.train_cfg.max_iters == 6
    assert cfg.train_dataloader.num_workers == 2
    assert cfg.val_cfg is None


@pytest.mark.slow
def test_steps_are_measured(run_tool):
    arguments = ('--case', 'nano', '--iters', '2', '--skip', '1', '--workers', '0', '--json')
    code, out, err = run_tool('analysis_tools/bench_train', *arguments)

    assert code == 0, err
    found = json.loads(out.splitlines()[-1])['nano']
    assert found['seconds_per_step'] > 0
    assert found['peak_memory_bytes'] > 1 << 28


def test_the_case_at_the_training_size_needs_a_gpu(bench, monkeypatch):
    monkeypatch.setattr('torch.cuda.is_available', lambda: False)
    assert bench.default_cases() == ['nano', 'r50_crops']
    monkeypatch.setattr('torch.cuda.is_available', lambda: True)
    assert bench.default_cases()[-1] == 'r50_full'


def test_waiting_and_working_are_told_apart(bench):
    hook, runner = StepCostHook(skip=1), SimpleNamespace(iter=0)
    hook.before_train_epoch(runner)
    for runner.iter in range(3):
        time.sleep(0.05)  # the batch is on its way
        batch = dict(data_samples=[ClipSample(metainfo=dict(task='vos'))])
        hook.before_train_iter(runner, runner.iter, batch)
        time.sleep(0.02)
        hook.after_train_iter(runner, runner.iter, batch)

    assert [step.task for step in hook.steps] == ['vos', 'vos']
    assert all(0.05 <= step.waiting < step.seconds - 0.015 for step in hook.steps)
    assert all(step.cpu_seconds < 0.05 for step in hook.steps)
    means = bench.by_task(hook.steps)
    assert means['vos'] == pytest.approx(sum(step.seconds for step in hook.steps) / 2)


def test_a_line_says_it_all(bench):
    result = dict(
        seconds_per_step=0.5,
        batch_size=8,
        seconds_by_task={'panoptic': 0.5},
        peak_memory_bytes=2**30,
        waiting_share=0.031,
        device='cpu',
    )
    assert bench.describe('nano', result) == (
        'nano: 0.500 s per step of 8 samples (panoptic 0.500 s), 1.00 GiB at most, '
        '3.1% of the time waiting for data, on cpu'
    )
