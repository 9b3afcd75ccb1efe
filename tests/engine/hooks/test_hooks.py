import itertools
import json
import math
import types

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.hooks import Hook
from mmengine.logging import MessageHub
from mmengine.structures import InstanceData

from seg.datasets import MixedDataset, ShapesDataset
from seg.datasets.samplers import TaskBatchSampler
from seg.engine.config_options import load_config
from seg.engine.hooks import (
    CosineByProgressHook,
    DataShareHook,
    ProgressHook,
    SafeCheckpointHook,
    TimeBudgetHook,
    ValPictureHook,
)
from seg.engine.hooks.training_clock import TrainingClock, cpu_seconds
from seg.engine.hooks.val_picture_hook import first_frame
from seg.engine.launch import build_runner
from seg.structures import ClipSample, PanopticData, Segment
from seg.testing.toy_training import write_toy_config
from seg.utils.checkpoints import read_checkpoint
from seg.utils.checks import UserError


class RatesHook(Hook):
    """Notes the learning rate of every iteration."""

    priority = 'LOWEST'

    def __init__(self):
        self.rates = []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.rates += runner.optim_wrapper.get_lr()['lr']


@pytest.fixture
def train(tmp_path):
    def run(*hooks, options=()):
        torch.set_num_threads(1)
        config = write_toy_config(tmp_path)
        cfg = load_config(config, ['visualizer=none', 'train_cfg.max_iters=8', *options])
        cfg['experiment_name'] = tmp_path.name
        runner = build_runner(cfg, config, tmp_path / 'run')
        for hook in hooks:
            runner.register_hook(hook)
        runner.train()
        return runner

    return run


def test_time_budget_ends_with_checkpoint_and_validation(train, tmp_path, monkeypatch):
    seconds = itertools.count(step=60)
    monkeypatch.setattr(
        TrainingClock, '_now', staticmethod(lambda: {'cpu': 0.0, 'wall': float(next(seconds))})
    )
    runner = train(
        TimeBudgetHook(minutes=9),
        options=['default_hooks.checkpoint.interval=100', 'default_hooks.learning_curve=none'],
    )
    # One look at the clock when it starts, one for the progress, two per iteration.
    assert runner.iter == 4
    saved = read_checkpoint(tmp_path / 'run' / 'iter_4.pth')
    assert saved['meta']['iter'] == 4
    assert saved['message_hub']['runtime_info']['training_minutes']['wall'] == pytest.approx(8)
    assert 'best_score' in read_checkpoint(tmp_path / 'run' / 'best.pth')['meta']


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [({'minutes': 0}, 'more than 0'), ({'minutes': 1, 'measure': 'wal'}, "mean 'wall'")],
)
def test_time_budget_refuses_bad_settings(arguments, message):
    with pytest.raises(UserError, match=message):
        TimeBudgetHook(**arguments)


def test_clock_goes_on_where_the_checkpoint_was():
    hub = MessageHub.get_instance('clock')
    runner = types.SimpleNamespace(iter=5, message_hub=hub)
    hub.update_info('training_minutes', {'cpu': 3.0, 'wall': 4.0})
    clock = TrainingClock()
    clock.start(runner)
    assert 4 <= clock.minutes()['wall'] < 4.1
    runner.iter = 0
    clock.start(runner)
    assert clock.minutes()['wall'] < 0.1
    clock.record(runner)
    assert hub.get_info('training_minutes')['cpu'] < 0.1
    assert cpu_seconds() > 0


def test_rate_follows_a_cosine_over_the_iterations(train):
    rates = RatesHook()
    train(
        CosineByProgressHook(warmup=0.25, final_factor=0.1), rates, options=['param_scheduler=none']
    )
    assert rates.rates[:3] == pytest.approx([1e-5, 0.005, 0.01])
    expected = 0.01 * (0.1 + 0.9 * (1 + math.cos(math.pi * (7 / 8 - 0.25) / 0.75)) / 2)
    assert rates.rates[7] == pytest.approx(expected)


def test_rate_follows_the_clock_when_there_is_a_budget():
    hook = CosineByProgressHook(warmup=0.0, final_factor=0.0)
    assert [round(hook.factor(x), 3) for x in (0.0, 0.5, 1.0)] == [1.0, 0.5, 0.0]
    with pytest.raises(UserError, match=r'CosineByProgressHook\.warmup: expected 0 to 1'):
        CosineByProgressHook(warmup=1.0)


def test_two_schedules_are_refused(train):
    with pytest.raises(UserError, match='expected no param_scheduler'):
        train(CosineByProgressHook())


def test_learning_curve_has_a_line_per_validation(train, tmp_path):
    train(options=['train_cfg.val_interval=4'])
    text = (tmp_path / 'run' / 'learning_curve.jsonl').read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert [line['iteration'] for line in lines] == [4, 8]
    assert lines[0].keys() == {'iteration', 'cpu_minutes', 'wall_minutes', 'metrics'}
    assert lines[0]['metrics']['toy/score'] == -lines[0]['metrics']['toy/error']


def test_fresh_run_starts_a_new_curve_and_warns(train, tmp_path, capsys):
    train()
    train()
    lines = (tmp_path / 'run' / 'learning_curve.jsonl').read_text().splitlines()
    assert [json.loads(line)['iteration'] for line in lines] == [5, 8]
    assert 'holds checkpoints of an earlier run' in capsys.readouterr().err


def test_the_shares_that_were_really_drawn_are_told():
    sources = {
        'found': ShapesDataset('panoptic', num_samples=6),
        'clicked': ShapesDataset('interactive_image', num_samples=6),
    }
    dataset = MixedDataset(sources, {'found': 3, 'clicked': 1})
    ranked = types.SimpleNamespace(dataset=dataset, seed=0, rank=0, world_size=2)
    loader = types.SimpleNamespace(batch_sampler=TaskBatchSampler(ranked, 4))
    told, curves = [], []
    runner = types.SimpleNamespace(
        iter=8,
        train_loop=types.SimpleNamespace(dataloader=loader),
        logger=types.SimpleNamespace(info=told.append),
        visualizer=types.SimpleNamespace(add_scalars=lambda c, step: curves.append((step, c))),
    )
    DataShareHook().after_train(runner)

    assert told == [
        'data drawn so far: found 75.0% (12 batches, 48 samples), '
        'clicked 25.0% (4 batches, 16 samples)'
    ]
    assert curves == [(8, {'data_share/found': 0.75, 'data_share/clicked': 0.25})]


def test_progress_bar_takes_the_place_of_log_lines(train, tmp_path, capsys):
    options = ['default_hooks.progress.enabled=true', 'default_hooks.logger.interval=2']
    runner = train(options=options)
    shown = capsys.readouterr().err
    assert '8/8' in shown
    assert 'iteration 5: toy/score' in shown
    assert 'Iter(train)' not in shown
    assert 'Iter(train)' in next((tmp_path / 'run').glob('*/*.log')).read_text()
    runner.logger.info('audible again')
    assert 'audible again' in capsys.readouterr().err


def test_progress_bar_is_gone_after_an_error(train, capsys):
    class Broken(Hook):
        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            bars.extend(hook._progress for hook in runner.hooks if type(hook) is ProgressHook)
            runners.append(runner)
            raise RuntimeError('broken')

    bars, runners = [], []
    with pytest.raises(RuntimeError, match='broken'):
        train(Broken(), options=['default_hooks.progress.enabled=true'])
    assert len(bars) == 1
    assert not bars[0].live.is_started
    runners[0].logger.info('audible again')
    assert 'audible again' in capsys.readouterr().err


def test_a_second_progress_bar_is_refused(train):
    with pytest.raises(UserError, match=r'expected one ProgressHook, got 2; .* custom_hooks'):
        train(ProgressHook())


def test_without_a_terminal_there_are_log_lines_only(train, capsys):
    train(options=['default_hooks.logger.interval=2'])
    shown = capsys.readouterr().err
    assert shown.count('Iter(train) [4/8]') == 1
    assert '━' not in shown


def test_full_disk_while_training_keeps_the_previous_state(train, tmp_path, monkeypatch):
    written = []

    def write_half(content, file):
        if written:
            file.write(b'half of it')
            raise OSError(28, 'No space left on device')
        written.append(file.name)
        real_save(content, file)

    real_save = torch.save
    monkeypatch.setattr(torch, 'save', write_half)
    options = ['default_hooks.checkpoint.interval=2', 'default_hooks.checkpoint.max_keep_ckpts=1']
    with pytest.raises(OSError, match=r'cannot write .*iter_4\.pth: No space left on device'):
        train(options=options)
    assert sorted(path.name for path in (tmp_path / 'run').glob('*.pth')) == ['iter_2.pth']
    assert read_checkpoint(tmp_path / 'run' / 'iter_2.pth')['meta']['iter'] == 2
    assert not list((tmp_path / 'run').glob('.*.tmp'))


def test_smaller_can_be_better():
    runner = types.SimpleNamespace(
        epoch=0,
        iter=1,
        work_dir='',
        logger=types.SimpleNamespace(info=lambda text: None),
        save_checkpoint=lambda *args, **kwargs: saved.append(kwargs['meta']['best_score']),
    )
    saved = []
    hook = SafeCheckpointHook(save_best=['a', 'b'], rule='less')
    for a, b in [(3.0, 1.0), (4.0, 1.0), (1.0, 1.0), (float('nan'), 1.0)]:
        hook.after_val_epoch(runner, {'a': a, 'b': b})
    assert saved == [2.0, 1.0]
    with pytest.raises(UserError, match='unknown checkpoint rule'):
        SafeCheckpointHook(rule='smaller')


def clip_with_prediction(task: str, image_id: int) -> tuple[torch.Tensor, ClipSample]:
    """A clip of 8x12 pixels whose original has 16x24, predicted perfectly."""
    masks = torch.zeros(1, 1, 16, 24, dtype=torch.bool)
    masks[..., 4:12, 4:12] = True
    sample = ClipSample(metainfo={'task': task, 'ori_shape': (16, 24), 'img_id': image_id})
    sample.gt_segments = InstanceData(
        masks=masks,
        labels=torch.tensor([0]),
        object_ids=torch.tensor([1]),
        is_crowd=torch.tensor([False]),
    )
    sample.pred_panoptic = PanopticData(masks[0].int(), [Segment(1, 0, True, 0.9)])
    return torch.full((1, 3, 8, 12), 100, dtype=torch.uint8), sample


def test_pictures_of_the_first_samples_of_each_task_are_written(tmp_path):
    dataset = types.SimpleNamespace(metainfo={'classes': ('square',), 'num_things': 1})
    runner = types.SimpleNamespace(
        test_dataloader=types.SimpleNamespace(dataset=dataset), iter=0, work_dir=tmp_path
    )
    hook = ValPictureHook(max_samples=2, out_dir=tmp_path / 'pictures')
    hook.before_test_epoch(runner)
    for index in range(3):
        clip, sample = clip_with_prediction('panoptic', index)
        batch = pseudo_collate([{'inputs': clip, 'data_samples': sample}])
        hook.after_test_iter(runner, index, batch, [sample])
    names = sorted(path.name for path in (tmp_path / 'pictures').iterdir())
    assert names == ['panoptic_0.png', 'panoptic_1.png']


def test_first_frame_is_brought_to_the_original_size():
    clip = torch.zeros(2, 3, 4, 6, dtype=torch.uint8)
    clip[0, 1] = 200
    frame = first_frame(clip, (8, 12))
    assert frame.shape == (8, 12, 3)
    assert np.array_equal(frame[0, 0], [0, 200, 0])
