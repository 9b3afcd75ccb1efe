"""Five stages, each from the one before; those that are over are not done again."""

import json
import runpy

import pytest

from seg.comparison.twins import tasks_of
from seg.engine import finished_runs
from seg.engine.config_options import load_config
from seg.engine.launch import build_runner
from seg.utils.checkpoints import read_checkpoint, read_weights, unwrap_state

STAGES = ['nano_1_distill', 'nano_2_interactive', 'nano_3_vos', 'nano_4_joint', 'nano_5_inference']
ALL_TASKS = {'panoptic', 'interactive_image', 'vos', 'interactive_video'}


def options(stage):
    """Two steps of one picture or short clip each, and as little validation."""
    given = ['visualizer=None']
    cfg = load_config(f'configs/rap_sam/stages/{STAGES[stage - 1]}.py')
    for kind, samples in (('train', 4), ('val', 1), ('test', 1)):
        loader = cfg.get(f'{kind}_dataloader')
        if loader is None:
            continue
        given += [f'{kind}_dataloader.{pair}' for pair in
                  ('batch_size=1', 'num_workers=0', 'persistent_workers=False')]  # fmt: skip
        for name, source in loader.dataset.sources.items():
            place = f'{kind}_dataloader.dataset.sources.{name}'
            given += [f'{place}.num_samples={samples}', f'{place}.size=(64,96)']
            if 'num_frames' in source:
                given.append(f'{place}.num_frames=3')
            if 'occlusion_prob' in source:
                given.append(f'{place}.occlusion_prob=0')
    if cfg.get('train_dataloader') and 'task_batch_sizes' in cfg.train_dataloader.batch_sampler:
        given.append('train_dataloader.batch_sampler.task_batch_sizes=None')
    return [f'{stage}:{option}' for option in given]


@pytest.mark.slow
def test_stages_follow_each_other_and_go_on(repository, tmp_path, run_tool, monkeypatch):
    monkeypatch.chdir(repository)
    given = [option for stage in range(1, 6) for option in options(stage)]
    given += [f'{stage}:train_cfg.max_iters=1' for stage in range(1, 4)]
    given += [f'{stage}:train_cfg.val_interval=1' for stage in (2, 3)]
    arguments = ('train_stages', 'nano', '--work-dir', tmp_path, '--cfg-options', *given)
    started_from = []

    def noted(cfg, *others):
        started_from.append(cfg.get('load_from'))
        return build_runner(cfg, *others)

    monkeypatch.setattr(finished_runs, 'build_runner', noted)

    code, out, err = run_tool(*arguments, '4:train_cfg.max_iters=1', '4:train_cfg.val_interval=1')
    assert code == 0, err
    report = json.loads(out.splitlines()[-1])
    assert [entry['stage'] for entry in report] == STAGES
    assert [entry.get('iterations') for entry in report] == [1, 1, 1, 1, None]
    assert not any(entry.get('skipped') for entry in report)
    assert started_from == [None, *(entry['checkpoint'] for entry in report[:3])]
    metas = [read_checkpoint(entry['checkpoint']) for entry in report[:4]]
    names = [set(unwrap_state(content)) for content in metas]
    assert names[0] < names[1] < names[2]
    assert names[2] == names[3]
    trained, used = (report[4][name]['metrics'] for name in ('as_trained', 'as_used'))
    assert set(trained) == set(used)
    assert {key.split('/')[0] for key in used} == {
        'panoptic', 'interactive', 'davis', 'interactive_video',
    }  # fmt: skip
    assert set(read_weights(report[4]['checkpoint'])) == names[3]

    code, out, err = run_tool(*arguments[:4], '--last', '2', *arguments[4:])
    assert code == 0, err
    assert [entry['skipped'] for entry in json.loads(out.splitlines()[-1])] == [True, True]
    code, _, err = run_tool(*arguments[:4], '--last', '1', '--scale', '3', *arguments[4:])
    assert code == 2
    assert 'got one of others' in err


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (('--last', '0'), '--last: expected a stage from 1 to 5, got 0'),
        (('--last', '6'), 'got 6'),
        (('--cfg-options', '7:train_cfg.max_iters=3'), 'with a stage N from 1 to 5'),
        (('--cfg-options', 'train_cfg.max_iters=3'), 'expected N:KEY=VALUE'),
        (('--cfg-options', '²:train_cfg.max_iters=3'), 'expected N:KEY=VALUE'),
        (('--last', '1', '--cfg-options', '4:model.head.num_thing=8'), 'num_thing'),
        (('--scale', '0'), '--scale: expected a number above 0, at most 1,000,000, got 0'),
        (('--scale', 'inf'), 'at most 1,000,000, got inf'),
        (('--scale', 'nan'), 'at most 1,000,000, got nan'),
        (('--scale', '1e308'), 'at most 1,000,000, got 1e+308'),
        (('--cfg-options', '1:default_hooks=none'), 'expected settings in default_hooks.checkp'),
        (('--cfg-options', '2:model=none'), 'expected settings in model'),
        (
            ('--cfg-options', '3:train_cfg.max_iters=none'),
            'expected settings in train_cfg.max_iters',
        ),
        (('--cfg-options', '5:test_cfg=none'), 'expected settings in test_cfg, got none'),
    ],
)
def test_what_makes_no_sense_is_told_before_anything_is_trained(
    run_tool, tmp_path, arguments, message
):
    code, _, err = run_tool('train_stages', 'nano', '--work-dir', tmp_path, *arguments)
    assert code == 2
    assert message in err.splitlines()[-1]
    assert not any(tmp_path.iterdir())


def test_all_that_is_counted_in_iterations_grows_with_a_stage(repository):
    scale = runpy.run_path(str(repository / 'tools/train_stages.py'))['scale']
    cfg = load_config(repository / 'configs/rap_sam/stages/r50_4_joint.py')
    cfg.model.head.clip_schedule = dict(truth_steps=300)
    steps = cfg.train_cfg.max_iters
    scale(cfg, 0.5)

    warm_up, falls = cfg.param_scheduler
    assert cfg.train_cfg.max_iters == falls.end == round(steps / 2)
    assert max(falls.milestones) < falls.end
    assert cfg.default_hooks.checkpoint.interval < cfg.train_cfg.max_iters
    assert warm_up.end == 250
    assert warm_up.begin == 0
    assert cfg.train_cfg.val_interval < cfg.train_cfg.max_iters
    assert cfg.model.head.clip_schedule.truth_steps == 150


@pytest.mark.parametrize('size', ['nano', 'r50'])
def test_stages_train_their_tasks(repository, size):
    tasks = []
    for name in STAGES[1:4]:
        path = repository / f'configs/rap_sam/stages/{name.replace("nano", size)}.py'
        cfg = load_config(path)
        dataset = cfg.train_dataloader.dataset
        assert set(dataset.get('ratios') or dataset.sources) == set(dataset.sources)
        tasks.append({task.value for task in tasks_of(cfg).values()})
        assert set(cfg.val_evaluator.metrics) <= tasks[-1]
    assert tasks == [{'interactive_image'}, {'vos', 'interactive_video'}, ALL_TASKS]
    cfg = load_config(repository / f'configs/rap_sam/stages/{size}_5_inference.py')
    assert cfg.train_cfg is None
    assert cfg.test_cfg.fp16


@pytest.mark.parametrize('name', ['nanoo', '*', '/nano', ''])
def test_wrong_names_are_told(run_tool, name):
    code, _, err = run_tool('train_stages', name)
    assert code == 2
    assert f'expected one of nano, r50, got {name!r}' in err.splitlines()[-1]


def test_a_file_in_the_place_of_the_folder_is_told(run_tool, tmp_path):
    (tmp_path / 'file').write_text('x')
    code, _, err = run_tool('train_stages', 'nano', '--work-dir', tmp_path / 'file')
    assert code == 2
    assert '--work-dir' in err.splitlines()[-1]
