"""Two models with one budget, a step of each."""

import json

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
    code, out, err = run_tool(*arguments)
    assert code == 0, err
    result = json.loads(out.splitlines()[-1])
    assert [run['run'] for run in result['runs']] == [
        'rap_sam_nano_shapes_seed0', 'mask2former_nano_shapes_seed0',
    ]  # fmt: skip
    assert all(run['iterations'] == 1 for run in result['runs'])
    (row,) = result['rows']
    assert (row['score'], row['samples']) == ('PQ', 2)
    assert (tmp_path / 'peer.md').is_file()


def test_wrong_numbers_are_told(tmp_path, run_tool):
    code, _, err = run_tool(TOOL, '--out', tmp_path, '--cpu-minutes', '0')
    assert code == 2
    assert 'expected at least 1 and more than 0' in err


def test_other_samples_for_the_peer_are_refused(repository, tmp_path, run_tool, monkeypatch):
    monkeypatch.chdir(repository)
    options = ('--peer-options', 'val_dataloader.dataset.sources.panoptic.size=(64,96)')
    code, _, err = run_tool(TOOL, '--out', tmp_path, *options)
    assert code == 2
    assert 'expected the validation source of' in err
