"""Errors of command-line tools."""

import errno

import pytest
from torch.utils.data import DataLoader, Dataset

from seg.utils.checks import UserError
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


@pytest.mark.parametrize(('rank', 'waits'), [('0', []), ('1', [10.0])])
def test_the_first_process_of_a_machine_tells_a_mistake_before_the_others(
    capsys, monkeypatch, rank, waits
) -> None:
    waited: list[float] = []
    monkeypatch.setenv('LOCAL_RANK', rank)
    monkeypatch.setattr('seg.utils.cli.time.sleep', waited.append)

    def main() -> None:
        raise ValueError('only here')

    assert _exit_code(main) == 2
    assert waited == waits
    assert capsys.readouterr().err == 'error: only here\n'


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


class Broken(Dataset):
    """One sample, whose reading fails with an error that another one caused."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> None:
        try:
            raise RuntimeError('cause')
        except RuntimeError as cause:
            raise self.error from cause


@pytest.mark.parametrize(
    ('error', 'line'),
    [
        (UserError('a.jpg: expected\n  an image: got none'), 'a.jpg: expected an image: got none'),
        (FileNotFoundError('b.jpg: expected a file'), 'b.jpg: expected a file'),
        (FileNotFoundError(2, 'No such file', 'c.jpg'), "No such file: 'c.jpg'"),
    ],
)
def test_an_error_in_a_worker_of_a_data_loader_shows_its_message_alone(capsys, error, line) -> None:
    assert _exit_code(lambda: list(DataLoader(Broken(error), num_workers=1))) == 2
    assert capsys.readouterr().err == f'error: {line}\n'
