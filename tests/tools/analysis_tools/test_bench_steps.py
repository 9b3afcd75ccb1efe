"""Each step beside what it replaced: the same answers; never a statement about time."""

import json
from pathlib import Path

import pytest
import torch

from seg.benchmark.steps import Step, measure_step

R18 = 'configs/rap_sam/rap_sam_r18_12e_adaptor.py'
TOOL = 'analysis_tools/bench_steps'
SHARES = {'bands', 'kept', 'one_wait_panoptic', 'one_wait_vos', 'read_ahead'}
VALUES = {
    *('bytes', 'folded', 'channels_last', 'deformable'),
    *('drawn', 'classes', 'pooled', 'grids', 'attend'),
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
