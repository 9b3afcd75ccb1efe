"""Trainings of a plan are done once, go on where they stopped, and belong to their settings."""

import json
import multiprocessing

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook

from seg.engine import finished_runs
from seg.engine.config_options import load_config
from seg.engine.finished_runs import run_once
from seg.engine.launch import build_runner
from seg.testing.toy_training import write_toy_config
from seg.utils.checkpoints import read_weights
from seg.utils.checks import UserError


class StoppedError(Exception):
    """What ends a training in the middle."""


class StopHook(Hook):
    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter == 5:
            raise StoppedError


@pytest.fixture
def plan(tmp_path):
    """Function that gives the arguments of a run of the toy config."""

    def make(name, **changes):
        path = write_toy_config(tmp_path)
        options = [f'{key}={value}' for key, value in changes.items()]
        cfg = load_config(path, ['visualizer=none', 'train_cfg.max_iters=8', *options])
        cfg['default_hooks']['checkpoint'].update(interval=2, save_best=None)
        cfg['experiment_name'] = f'{tmp_path.name}_{name}'
        return cfg, path, tmp_path / name

    return make


def test_a_run_is_done_once(plan):
    first = run_once(*plan('run'))
    assert (first.iterations, first.skipped) == (8, False)
    assert first.checkpoint.is_file()
    assert set(first.minutes) == {'cpu', 'wall'}
    again = run_once(*plan('run'))
    assert again.skipped
    assert (again.checkpoint, again.iterations) == (first.checkpoint, 8)
    with pytest.raises(UserError, match='got one of others; choose another folder'):
        run_once(*plan('run', **{'train_cfg.max_iters': 9}))


def test_no_worker_of_a_run_is_left_to_the_next(plan):
    workers = {
        'train_dataloader.num_workers': 1,
        'train_dataloader.persistent_workers': True,
    }
    run_once(*plan('run', **workers))

    for worker in multiprocessing.active_children():
        worker.join(timeout=20)  # it was told to end, which takes a moment
    assert multiprocessing.active_children() == []


def test_an_interrupted_run_goes_on_as_if_nothing_had_happened(plan, monkeypatch):
    whole = run_once(*plan('whole'))

    def build_and_stop(*arguments):
        runner = build_runner(*arguments)
        runner.register_hook(StopHook())
        return runner

    monkeypatch.setattr(finished_runs, 'build_runner', build_and_stop)
    with pytest.raises(StoppedError):
        run_once(*plan('broken'))
    monkeypatch.undo()
    state = json.loads((plan('broken')[2] / 'run.json').read_text())
    assert set(state) == {'digest'}
    resumed = run_once(*plan('broken'))
    assert (resumed.iterations, resumed.skipped) == (8, False)
    pair = [read_weights(run.checkpoint) for run in (whole, resumed)]
    assert all(torch.equal(pair[0][name], pair[1][name]) for name in pair[0])


def test_a_folder_of_another_training_is_refused(plan):
    folder = plan('run')[2]
    for name in ('last_checkpoint', 'best.pth'):
        folder.mkdir(exist_ok=True)
        (folder / name).touch()
        with pytest.raises(UserError, match='got that of another training; choose another folder'):
            run_once(*plan('run'))
        (folder / name).unlink()


def test_a_run_that_failed_before_it_trained_leaves_its_folder_free(plan, monkeypatch):
    def fail(*arguments):
        runner = build_runner(*arguments)
        monkeypatch.setattr(runner, 'train', lambda: (_ for _ in ()).throw(StoppedError))
        return runner

    monkeypatch.setattr(finished_runs, 'build_runner', fail)
    with pytest.raises(StoppedError):
        run_once(*plan('run'))
    monkeypatch.undo()

    assert (plan('run')[2] / 'run.json').is_file()
    assert run_once(*plan('run', **{'train_cfg.max_iters': 9})).iterations == 9


def test_weights_that_are_gone_are_told(plan, tmp_path):
    with pytest.raises(UserError, match=r'load_from: expected a file .* none at .*missing\.pth'):
        run_once(*plan('run'), load_from=tmp_path / 'missing.pth')
    assert not (plan('run')[2] / 'run.json').exists()
    run_once(*plan('run')).checkpoint.unlink()
    with pytest.raises(UserError, match='of a training that is over, found none; put them back'):
        run_once(*plan('run'))
    state = plan('run')[2] / 'run.json'
    state.write_text(json.dumps({'digest': json.loads(state.read_text())['digest']}))
    with pytest.raises(
        UserError, match=r'state iter_8\.pth, which last_checkpoint names, found none'
    ):
        run_once(*plan('run'))


@pytest.mark.parametrize(
    'content', ['{"digest": "ab', '[]', '{}', '{"digest": 1}', '{"digest": "a", "checkpoint": 3}']
)
def test_a_broken_state_is_told(plan, content):
    folder = plan('run')[2]
    folder.mkdir()
    (folder / 'run.json').write_text(content)
    with pytest.raises(UserError, match=r'run\.json: expected the state .* remove the folder'):
        run_once(*plan('run'))


def test_weights_that_a_part_of_the_model_starts_from_belong_to_a_run(tmp_path):
    weights = tmp_path / 'teacher.safetensors'
    start = dict(type='Pretrained', checkpoint=str(weights))
    cfg = Config(dict(model=dict(type='Distiller', teacher=dict(init_cfg=start))))
    digests = []
    for content in (b'one', b'two', b'two'):
        weights.write_bytes(content)
        digests.append(finished_runs._digest(cfg, None))

    assert digests[0] != digests[1] == digests[2]


def test_a_run_starts_from_the_one_before(plan):
    first = run_once(*plan('first'))
    settings = {'train_cfg.max_iters': 1, 'optim_wrapper.optimizer.lr': 0.0}
    second = run_once(*plan('second', **settings), first.checkpoint)
    assert run_once(*plan('second', **settings), first.checkpoint).skipped
    pair = [read_weights(run.checkpoint) for run in (first, second)]
    trained = [name for name in pair[0] if name.endswith(('weight', 'bias'))]
    assert trained
    with pytest.raises(UserError, match='and of the weights before it, got one of others'):
        run_once(*plan('second', **settings), second.checkpoint)
    assert all(torch.equal(pair[0][name], pair[1][name]) for name in trained)


def test_a_run_starts_from_the_weights_that_its_config_names(plan, tmp_path):
    first = run_once(*plan('first'))
    settings = {
        'train_cfg.max_iters': 1,
        'optim_wrapper.optimizer.lr': 0.0,
        'load_from': first.checkpoint,
    }
    second = run_once(*plan('second', **settings))
    pair = [read_weights(run.checkpoint) for run in (first, second)]
    trained = [name for name in pair[0] if name.endswith(('weight', 'bias'))]
    assert all(torch.equal(pair[0][name], pair[1][name]) for name in trained)
    missing = tmp_path / 'missing.pth'
    with pytest.raises(UserError, match=f'expected a file of weights, found none at {missing}'):
        run_once(*plan('third', **{**settings, 'load_from': missing}))
