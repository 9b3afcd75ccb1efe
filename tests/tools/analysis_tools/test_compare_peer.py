"""Two models with one budget, a step of each."""

import json

import numpy as np
import pytest

TOOL = 'analysis_tools/compare_peer'


@pytest.mark.slow
def test_both_are_trained_and_scored_once(repository, tmp_path, run_tool, monkeypatch):
    monkeypatch.chdir(repository)
    small = ['visualizer=None', 'train_cfg.max_iters=1', 'train_cfg.val_interval=1']
    for kind in ('train', 'val'):
        loader = f'{kind}_dataloader'
        small += [f'{loader}.batch_size=1', f'{loader}.num_workers=0']
        small += [f'{loader}.persistent_workers=False']
        place = f'{loader}.dataset.sources.panoptic'
        small += [f'{place}.num_samples=1', f'{place}.size=(64,96)']
    arguments = [TOOL, '--out', tmp_path, '--samples', '2', '--cpu-minutes', '5']
    arguments += ['--ours-options', *small, '--peer-options', *small]
    arguments += ['--thresholds', '0.01', '0.5']
    code, out, err = run_tool(*arguments)
    assert code == 0, err
    result = json.loads(out.splitlines()[-1])
    assert [run['run'] for run in result['runs']] == [
        'rap_sam_nano_shapes_seed0', 'mask2former_nano_shapes_seed0',
    ]  # fmt: skip
    assert all(run['iterations'] == 1 for run in result['runs'])
    rows = [(row['score'], row['samples']) for row in result['rows']]
    assert rows == [('PQ above 0.01', 2), ('PQ above 0.5', 2)]
    assert 'PQ above 0.01' in (tmp_path / 'peer.md').read_text()
    (of_ours,) = (tmp_path / 'runs').glob('rap_sam_nano_shapes_seed0')
    likely, sure = (of_ours / name / 'scores_panoptic.json' for name in ('above_0.01', 'above_0.5'))
    assert count_segments(likely) > count_segments(sure)


def count_segments(path):
    """True and false positives of all samples."""
    rows = np.array([row['PQ'] for row in json.loads(path.read_text())['rows']])
    _, true_positives, false_positives, _ = rows.reshape(len(rows), -1, 4).sum(axis=(0, 1))
    return true_positives + false_positives


@pytest.mark.parametrize(
    ('option', 'expected'),
    [
        (('--cpu-minutes', '0'), '--cpu-minutes: expected a number above 0, got 0'),
        (('--cpu-minutes', 'nan'), '--cpu-minutes: expected a number above 0, got nan'),
        (('--samples', '0'), '--samples: expected a whole number >= 1, got 0'),
        (('--seeds', '-1'), '--seeds: expected a whole number from 0'),
        (('--thresholds', '0.5', '1.5'), 'expected numbers from 0 to below 1, each once'),
        (('--thresholds', '0.5', '0.5'), 'expected numbers from 0 to below 1, each once'),
    ],
)
def test_wrong_numbers_are_told(option, expected, tmp_path, run_tool):
    code, _, err = run_tool(TOOL, '--out', tmp_path, *option)
    assert code == 2
    assert expected in err


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (
            ('--peer-options', 'val_dataloader.dataset.sources.panoptic.size=(64,96)'),
            'expected the validation source of',
        ),
        (
            ('--peer-options', 'train_dataloader.dataset.sources.panoptic.size=(64,96)'),
            'expected the training data of',
        ),
        (('--ours-options', 'model=none'), 'expected settings in model'),
        (('--peer', 'configs/rap_sam/rap_sam_nano_joint_shapes.py'), 'expected one TimeBudgetHook'),
        (('--peer', 'configs/rap_sam/rap_sam_nano_shapes.py'), 'rap_sam_nano_shapes twice'),
        (('--peer', 'configs/rap_sam/stages/nano_1_distill.py'), 'expected one TimeBudgetHook'),
        (
            ('--peer', 'configs/efficient_sam/efficient_sam_tiny_shapes.py'),
            'efficient_sam_tiny_shapes.py: expected',
        ),
    ],
)
def test_what_cannot_be_compared_is_told_before_anything_is_trained(
    repository, tmp_path, run_tool, monkeypatch, arguments, message
):
    monkeypatch.chdir(repository)
    code, _, err = run_tool(TOOL, '--out', tmp_path, *arguments)
    assert code == 2
    assert message in err.splitlines()[-1]
    assert not any(tmp_path.iterdir())
