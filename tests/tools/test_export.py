"""What the export tool refuses, before it loads anything."""

import importlib.util
import math

import pytest


@pytest.mark.parametrize(
    ('arguments', 'said'),
    [
        (('--size', '40'), 'expected HxW such as'),
        (('--objects', '0'), 'expected a whole number >= 1'),
        (('--size', '²x32'), 'expected HxW such as'),
        (('--tolerance', '-1'), '--tolerance: expected a number above 0, got -1'),
    ],
)
def test_what_does_not_fit_is_told_in_one_line(run_tool, tmp_path, arguments, said):
    code, _, err = run_tool('export', 'config.py', 'weights.pth', tmp_path / 'out', *arguments)

    assert code == 2
    assert said in err
    assert not (tmp_path / 'out').exists()


def test_a_deviation_that_is_no_number_is_the_worst(repository):
    spec = importlib.util.spec_from_file_location('export', repository / 'tools/export.py')
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)

    assert math.isnan(max([0.1, math.nan, 0.2], key=tool._badness))
    assert max([0.1, 0.3, 0.2], key=tool._badness) == 0.3
