"""``make bench-gpu``: that its commands are understood up to the GPU that they need."""

import shlex
import shutil
import subprocess

import pytest
import torch


@pytest.fixture(scope='module')
def commands(repository):
    """The programs that the target runs, and what they are told."""
    if shutil.which('make') is None:
        pytest.skip('make is not installed')
    printed = subprocess.run(
        ['make', '-n', 'bench-gpu', 'ARGS=--dtype bf16 --graph'],
        cwd=repository,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    lines = printed.replace('\\\n', ' ').splitlines()
    return [shlex.split(line)[1:] for line in lines if 'tools/analysis_tools/' in line]


@pytest.mark.skipif(torch.cuda.is_available(), reason='the target would be run')
@pytest.mark.parametrize('index', range(3))
def test_all_but_the_gpu_is_there(run_tool, repository, commands, index, tmp_path, monkeypatch):
    assert len(commands) == 3
    script, *arguments = commands[index]
    arguments = [repository / part if part.endswith('.py') else part for part in arguments]
    monkeypatch.chdir(tmp_path)
    code, out, err = run_tool(script.removeprefix('tools/').removesuffix('.py'), *arguments)

    assert code == 2
    assert err.splitlines()[-1].startswith("error: device 'cuda:0': expected one that this")
    assert not out
    assert not any(path.is_file() for path in tmp_path.rglob('*'))
