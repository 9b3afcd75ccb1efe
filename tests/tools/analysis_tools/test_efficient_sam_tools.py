"""The measurements of EfficientSAM, on toy sizes and in this process."""

import json
import runpy
from argparse import Namespace

import pytest


@pytest.fixture
def tool(repository, monkeypatch, capsys):
    """Run a tool of this folder: what its last line says."""

    def run(name, *arguments, refused=False):
        path = str(repository / 'tools/analysis_tools' / name)
        monkeypatch.setattr('sys.argv', [path, *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            runpy.run_path(path, run_name='__main__')
        printed = capsys.readouterr()
        assert stop.value.code in ((2,) if refused else (0, None)), printed.err
        return printed.err if refused else printed.out.splitlines()

    return run


def test_a_table_of_distillation_goes_on_where_it_stopped(tool, tmp_path):
    sizes = ['--images', 4, '--student-images', 4, '--val-images', 2, '--iters', 1, '--seeds', 1]
    sizes += ['--teacher-iters', 1, '--start-iters', 0, '--canvas', 64, '--batch-size', 2]
    sizes += ['--inner-weight', 0.5, '--out', tmp_path]
    first = json.loads(tool('distillation_table.py', *sizes, '--kinds', 'none')[-1])
    assert [row['kind'] for row in first['students']] == ['none']
    lines = tool('distillation_table.py', *sizes, '--kinds', 'none', 'all')
    second = json.loads(lines[-1])
    assert second['students'][0] == first['students'][0]
    assert [row['kind'] for row in second['students']] == ['none', 'all']
    assert all(second[role] == first[role] for role in ('teacher', 'start'))
    assert lines[2].startswith('| none | 1 | ')

    message = tool('distillation_table.py', *sizes, '--iters', 3, refused=True)
    assert '--iters 1, got others' in message


def test_both_attentions_are_measured_on_the_same_step(repository, monkeypatch):
    from ext.efficient_sam.image_encoder import Attention

    monkeypatch.setattr(Attention, 'forward', Attention.forward)  # the tool replaces it
    measure = runpy.run_path(str(repository / 'tools/analysis_tools/efficient_sam_cost.py'))[
        'measure'
    ]
    for case in ('encode', 'decoder', 'full'):
        given = dict(
            variants=['tiny'], cases=[case], size=64, boxes=2, threads=1, repeat=1, warmup=0
        )
        values = []
        for attention in ('fused', 'naive'):
            monkeypatch.undo()
            monkeypatch.setattr(Attention, 'forward', Attention.forward)
            row = measure(Namespace(**given, attention=[attention]))
            assert row['cpu_seconds'] >= 0
            assert row['peak_gib'] > 0
            values.append(row['value'])
        assert values[0] == pytest.approx(values[1], rel=1e-3)
