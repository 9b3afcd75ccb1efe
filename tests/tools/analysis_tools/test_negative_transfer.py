"""The plan of joint model and twins, run with a single step of everything."""

import json

import pytest

from seg.utils.checks import UserError

JOINT = 'rap_sam_nano_joint_shapes'
TASKS = ('panoptic', 'interactive_image', 'vos', 'interactive_video')


def small(tasks):
    """Changes that make every model of these tasks train and score on little."""
    given = ['visualizer=None', 'custom_hooks=[]']
    for kind in ('train', 'val'):
        loader = f'{kind}_dataloader'
        given += [f'{loader}.batch_size=1', f'{loader}.num_workers=0']
        given += [f'{loader}.persistent_workers=False']
        for task in tasks:
            place = f'{loader}.dataset.sources.{task}'
            given += [f'{place}.num_samples=4', f'{place}.size=(64,96)']
    return given


@pytest.mark.slow
def test_the_plan_runs_and_goes_on(repository, tmp_path, run_tool, monkeypatch):
    monkeypatch.chdir(repository)
    tasks = ('panoptic', 'interactive_image')
    arguments = [
        'analysis_tools/negative_transfer', '--out', tmp_path / 'out', '--seeds', '0',
        '--iters', '3', '--samples', '2', '--repeats', '20', '--tasks', *tasks,
        '--joint', f'configs/rap_sam/{JOINT}.py',
    ]  # fmt: skip
    code, out, err = run_tool(*arguments, '--cfg-options', *small(TASKS))
    assert code == 0, err
    result = json.loads(out.splitlines()[-1])
    assert {row['task'] for row in result['rows']} == set(tasks)
    assert result['rows'][0]['score'] == 'PQ'
    assert all(0 <= score <= 100 for row in result['rows'] for score in row['scores'])
    assert [run['iterations'] for run in result['runs']] == [4, 1, 1]
    runs = tmp_path / 'out' / 'runs'
    lengths = {
        path.parent.name: json.loads(path.read_text())['iterations']
        for path in runs.glob('*/run.json')
    }
    assert lengths == {
        f'{JOINT}_seed0': 4, f'{JOINT}_panoptic_seed0': 1, f'{JOINT}_interactive_image_seed0': 1,
    }  # fmt: skip
    for name in ('table.json', 'table.md', 'table.png', 'curves.png'):
        assert (tmp_path / 'out' / name).is_file()
    variant = 'configs/rap_sam/ablations/nano_joint_no_task_embedding.py'
    code, out, err = run_tool(
        *arguments, '--without-twins', '--variants', variant, '--cfg-options', *small(TASKS)
    )
    assert code == 0, err
    assert f'{JOINT}_seed0: was over' in err
    again = json.loads(out.splitlines()[-1])
    pairs = {(row['first'], row['second']) for row in again['rows']}
    assert pairs == {('nano_joint_no_task_embedding', JOINT)}
    assert again['rows'][0]['scores'][1] == result['rows'][0]['scores'][0]
    for row in again['rows']:
        assert row['difference'] == pytest.approx(row['scores'][0] - row['scores'][1])
    assert [run['run'] for run in again['runs']] == [
        f'{JOINT}_seed0', 'nano_joint_no_task_embedding_seed0',
    ]  # fmt: skip


@pytest.mark.slow
def test_the_weights_that_all_start_from_stand_beside(repository, tmp_path, run_tool, monkeypatch):
    monkeypatch.chdir(repository)
    code, out, err = run_tool(
        'analysis_tools/negative_transfer', '--out', tmp_path, '--without-twins', '--beside-start',
        '--joint', f'configs/rap_sam/{JOINT}.py', '--seeds', '0', '1', '--iters', '1',
        '--samples', '2', '--repeats', '20', '--tasks', 'interactive_image', '--cfg-options',
        'load_from=seg/assets/rap_sam_nano_shapes.safetensors', *small(TASKS),
    )  # fmt: skip
    assert code == 0, err
    rows = json.loads(out.splitlines()[-1])['rows']
    assert {(row['first'], row['second']) for row in rows} == {(JOINT, 'start')}
    assert rows[0]['seeds'] == [2, 1]
    assert rows[0]['scores'][1] > 50, 'trained weights'


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (('--seeds', '0', '0'), '--seeds: expected each one once, got 0 0'),
        (('--without-twins',), '--without-twins: expected --variants or --beside-start to compare'),
        (('--beside-start',), '--beside-start: expected --cfg-options load_from=FILE, got None'),
        (('--tasks', 'vos', 'vos'), '--tasks: expected each one once'),
        (('--joint', 'configs/rap_sam/rap_sam_nano_shapes.py'), 'got a TimeBudgetHook'),
        (('--joint', 'configs/rap_sam/rap_sam_r50_joint.py'), 'got param_scheduler'),
        (
            (
                *('--joint', 'configs/rap_sam/rap_sam_nano_joint_shapes.py'),
                *('--variants', 'configs/rap_sam/ablations/nano_joint_no_truth_schedule.py'),
                *('--cfg-options', 'model.head.clip_schedule.truth_steps=0'),
            ),
            'nano_joint_no_truth_schedule.py: expected other settings than those of',
        ),
        (
            ('--variants', 'configs/rap_sam/stages/nano_4_joint.py'),
            'nano_4_joint.py: expected the validation source of',
        ),
        (
            ('--joint', 'configs/rap_sam/stages/nano_2_interactive.py'),
            'nano_2_interactive.py: expected a val_dataloader over a mixture with panoptic',
        ),
        (('--joint', 'configs/rap_sam/rap_sam_nano_coco_sample.py'), 'which has no twins'),
        (('--joint', 'configs/rap_sam/stages/nano_1_distill.py'), 'over a mixture with panoptic'),
        (
            ('--joint', 'configs/rap_sam/stages/nano_5_inference.py'),
            'expected settings in train_cfg',
        ),
        (
            ('--cfg-options', 'train_dataloader.batch_sampler=none'),
            'train_dataloader.batch_sampler',
        ),
        (('--cfg-options', 'train_dataloader=none'), 'in train_dataloader.dataset'),
        (('--cfg-options', 'val_dataloader.dataset=none'), 'over a mixture with panoptic'),
        (
            ('--variants', 'configs/rap_sam/stages/../rap_sam_nano_joint_scratch_shapes.py'),
            'got rap_sam_nano_joint_scratch_shapes more than once',
        ),
    ],
)
def test_plans_that_would_say_nothing_are_refused(
    repository, tmp_path, run_tool, monkeypatch, arguments, message
):
    monkeypatch.chdir(repository)
    code, _, err = run_tool('analysis_tools/negative_transfer', '--out', tmp_path, *arguments)
    assert code == 2
    assert message in err


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (('--samples', '0'), '--samples: expected a whole number >= 1, got 0'),
        (('--iters', '0'), '--iters: expected a whole number >= 1, got 0'),
        (('--iters', '-5'), '--iters: expected a whole number >= 1, got -5'),
        (('--repeats', '0'), '--repeats: expected a whole number >= 1, got 0'),
        (('--seeds', '-1'), '--seeds: expected a whole number from 0 to 4294967295, got -1'),
        (('--margin', 'nan'), '--margin: expected a number of points, 0 or more, got nan'),
        (('--margin', '-1'), '--margin: expected a number of points, 0 or more, got -1'),
    ],
)
def test_numbers_that_make_no_sense_are_refused(tmp_path, run_tool, arguments, message):
    tool, out = 'analysis_tools/negative_transfer', tmp_path / 'out'
    code, _, err = run_tool(tool, '--out', out, *arguments)
    assert code == 2
    assert message in err.splitlines()[-1]
    assert not out.exists()


def test_what_a_variant_changes_is_told(repository, tmp_path, run_tool, monkeypatch):
    monkeypatch.chdir(repository)
    monkeypatch.setattr('seg.engine.finished_runs.run_once', _stop)
    variant = 'configs/rap_sam/ablations/nano_joint_unbound_gradients.py'
    arguments = ('--out', tmp_path, '--without-twins', '--variants', variant, '--joint')
    told = []
    for name in ('joint', 'joint_scratch'):
        joint = f'configs/rap_sam/rap_sam_nano_{name}_shapes.py'
        _, _, err = run_tool('analysis_tools/negative_transfer', *arguments, joint)
        (line,) = (line for line in err.splitlines() if 'differs from' in line)
        told.append(line.partition(' in ')[2].split(', '))

    assert told[0] == ['optim_wrapper.clip_grad']
    assert set(told[0]) < set(told[1])
    assert 'custom_hooks' in told[1]


def _stop(*_):
    raise UserError('nothing is trained here')
