"""Each step beside what it replaced: the same answers; never a statement about time."""

import json
from pathlib import Path

import pytest
import torch

from seg.benchmark.bench_step import Step, measure_step
from seg.utils.checks import UserError

R18 = 'configs/rap_sam/rap_sam_r18_12e_adaptor.py'
TOOL = 'analysis_tools/bench_steps'
SHARES = {'bands', 'kept', 'divided', 'one_wait_panoptic', 'one_wait_vos', 'read_ahead'}
VALUES = {
    *('bytes', 'folded', 'channels_last', 'deformable'),
    *('drawn', 'classes', 'pooled', 'grids', 'attend'),
    *('both_paths', 'largest', 'windows', 'summed', 'labelled'),
}


def test_answers_of_all_steps_are_alike(run_tool, repository):
    small = ('--size', '51x91', '--repeats', '1', '--threads', '1', '--json')
    code, out, err = run_tool(TOOL, '--config', repository / R18, *small)

    assert code == 0, err
    report = json.loads(out.splitlines()[-1])
    rows = {row['name']: row for row in report['steps']}
    assert report['machine']['threads'] == 1
    assert set(rows) == {*SHARES, *VALUES, 'bf16'}
    assert all(rows[name]['difference'] < 1e-4 for name in VALUES)
    assert all(rows[name]['difference'] == 0 for name in SHARES)
    assert rows['bf16']['difference'] < 0.2, 'masks of random weights lie close to zero'
    assert all(row['plain_ms'] > 0 and row['fast_ms'] > 0 for row in rows.values())


def test_both_ways_take_turns():
    calls = []

    def way(name, value):
        def run():
            calls.append(name)
            return torch.tensor([4.0, value])

        return run

    step = Step('x', 'y', way('plain', 2.0), way('fast', 1.0))
    row = measure_step(step, torch.device('cpu'), 2)

    assert calls == ['plain', 'fast'] * 3
    assert row['difference'] == 0.25


def test_rows_are_kept_when_a_later_step_fails(run_tool, repository, tmp_path, monkeypatch):
    def two_steps(_):
        yield Step('first', 'that works', *[lambda: torch.ones(1)] * 2)
        raise UserError('the second one does not')

    monkeypatch.setattr('seg.benchmark.steps.steps', two_steps)
    out = tmp_path / 'steps.json'
    plan = ('--config', repository / R18, '--size', '32x32', '--repeats', '1', '--out', out)
    code, _, err = run_tool(TOOL, *plan)

    assert (code, err.splitlines()[-1]) == (2, 'error: the second one does not')
    assert [row['name'] for row in json.loads(out.read_text())['steps']] == ['first']
    assert [path.name for path in tmp_path.iterdir()] == ['steps.json']


def test_a_file_that_cannot_be_written_is_told_before_anything_is_measured(run_tool, tmp_path):
    (tmp_path / 'file').write_text('x')
    code, out, err = run_tool(TOOL, '--out', tmp_path / 'file' / 'steps.json')

    assert code == 2
    assert '--out' in err.splitlines()[-1]
    assert ' ms -> ' not in out


@pytest.mark.parametrize(
    ('arguments', 'said'),
    [
        (('--size', '0x90'), 'HxW'),
        (('--size', '1x90'), 'at least 32x32'),
        (('--size', '10000000x10000000'), 'out of memory at 10000000x10000000'),
        (('--repeats', 'two'), '>= 1'),
        (('--device', 'nowhere'), 'device'),
        (('--config', Path('configs/sam/sam_tiny_shapes.py')), 'expected the config of a RapSAM'),
    ],
)
def test_what_does_not_fit_is_told_in_one_line(run_tool, repository, arguments, said):
    given = [repository / part if isinstance(part, Path) else part for part in arguments]
    code, _, err = run_tool(TOOL, *given)

    assert code == 2
    assert said in err.splitlines()[-1]
