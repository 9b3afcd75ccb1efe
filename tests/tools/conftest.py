import runpy
import sys

import pytest


@pytest.fixture
def run_tool(repository, monkeypatch, capsys):
    """Function that runs a tool as a user does, but in this process, which saves the imports.

    Takes the tool's path below ``tools`` and its arguments; gives exit code, output and errors.
    """

    def run(tool, *arguments):
        monkeypatch.setattr(sys, 'argv', [tool, *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            runpy.run_path(str(repository / 'tools' / f'{tool}.py'), run_name='__main__')
        return stopped.value.code, *capsys.readouterr()

    return run
