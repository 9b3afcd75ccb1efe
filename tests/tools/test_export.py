"""What the export tool refuses, before it loads anything."""

import pytest


@pytest.mark.parametrize(
    ('arguments', 'said'),
    [
        (('--size', '40'), 'HxW such as 384x640'),
        (('--objects', '0'), '1 or more'),
    ],
)
def test_what_does_not_fit_is_told_in_one_line(run_tool, tmp_path, arguments, said):
    code, _, err = run_tool('export', 'config.py', 'weights.pth', tmp_path / 'out', *arguments)

    assert code == 2
    assert said in err
    assert not (tmp_path / 'out').exists()
