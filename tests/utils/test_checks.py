"""The wording of errors."""

import pytest

from seg.utils.checks import first_line


@pytest.mark.parametrize(
    ('error', 'said'),
    [
        (ValueError('\n one \ntwo'), 'one'),
        (ValueError('  '), 'ValueError'),
        (KeyboardInterrupt(), 'KeyboardInterrupt'),
        (ValueError('x' * 300), 'x' * 200),
    ],
)
def test_the_first_line_of_an_error(error, said):
    assert first_line(error) == said
