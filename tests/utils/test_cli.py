"""Errors of command-line tools."""

import errno

import pytest

from seg.utils.cli import run_main


def _exit_code(main) -> int:
    with pytest.raises(SystemExit) as exit_info:
        run_main(main)
    return exit_info.value.code


def test_success_exits_with_zero() -> None:
    assert _exit_code(lambda: None) == 0


def test_the_code_of_main_is_kept() -> None:
    assert _exit_code(lambda: 1) == 1


def test_a_mistake_of_the_user_is_one_line(capsys) -> None:
    def main() -> None:
        raise ValueError('task: expected\n one of a, b,  got c')

    assert _exit_code(main) == 2
    assert capsys.readouterr().err == 'error: task: expected one of a, b, got c\n'


def test_an_error_of_the_system_names_the_file_without_its_number(capsys) -> None:
    def main() -> None:
        raise OSError(errno.ENOSPC, 'No space left on device', 'weights.pth')

    assert _exit_code(main) == 2
    assert capsys.readouterr().err == 'error: weights.pth: No space left on device\n'


def test_a_defect_keeps_its_traceback() -> None:
    def main() -> None:
        raise RuntimeError('defect')

    with pytest.raises(RuntimeError, match='defect'):
        run_main(main)


def test_tracebacks_can_be_asked_for(monkeypatch) -> None:
    monkeypatch.setenv('RAPSAM_TRACEBACK', '1')

    def main() -> None:
        raise ValueError('mistake')

    with pytest.raises(ValueError, match='mistake'):
        run_main(main)


def test_ctrl_c_exits_with_130(capsys) -> None:
    def main() -> None:
        raise KeyboardInterrupt

    assert _exit_code(main) == 130
