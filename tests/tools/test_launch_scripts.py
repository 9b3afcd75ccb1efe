"""How processes are started: what each of them is told. No Slurm and no torchrun is needed."""

import importlib.util
import os
import signal
import stat
import subprocess
import sys

import pytest

from seg.testing.processes import free_port

CHANGED_BY_TORCHRUN = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
TELL = 'echo "$RANK $LOCAL_RANK $WORLD_SIZE $MASTER_ADDR $MASTER_PORT" "$@"'
# Two tasks on each of two nodes, after the options of srun.
SRUN = """echo "$@" > "$OUT/options"
while [[ $1 == --* ]]; do shift; done
for task in 0 1 2 3; do
  SLURM_PROCID=$task SLURM_LOCALID=$((task % 2)) SLURM_NTASKS=4 SLURM_JOB_NODELIST='n[1-2]' "$@"
done"""
SCONTROL = '[[ "$*" == "show hostnames n[1-2]" ]] && printf "n1\\nn2\\n"'


@pytest.fixture
def run(tmp_path, repository):
    """Run a script of tools/ with programs that stand for others."""

    def call(script, *args, programs, **settings):
        for name, body in programs.items():
            path = tmp_path / name
            path.write_text(f'#!/usr/bin/env bash\n{body}\n')
            path.chmod(path.stat().st_mode | stat.S_IEXEC)
        path = f'{tmp_path}:/usr/bin:/bin'
        unset = ('RANK', 'LOCAL_RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT', 'NNODES')
        env = {k: v for k, v in os.environ.items() if k not in unset}
        env.update(PATH=path, OUT=str(tmp_path), PYTHON='python', **settings)
        command = [str(repository / 'tools' / script), *args]
        return subprocess.run(command, env=env, capture_output=True, text=True, check=False)

    return call


@pytest.fixture
def start_processes(monkeypatch, repository):
    """Run tools/start_processes.py in this process, which has imported torch; its exit code."""
    path = repository / 'tools' / 'start_processes.py'
    spec = importlib.util.spec_from_file_location('start_processes', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    handlers = {number: signal.getsignal(number) for number in CHANGED_BY_TORCHRUN}

    def call(*arguments):
        monkeypatch.setattr(sys, 'argv', ['', f'--master-port={free_port()}', *arguments])
        return module.main()

    yield call
    for number, handler in handlers.items():
        signal.signal(number, handler)


def test_slurm_tasks_get_what_torchrun_would_set(run, tmp_path, repository):
    programs = dict(srun=SRUN, scontrol=SCONTROL, python=TELL)
    settings = dict(PARTITION='gpu', NODES='2', GPUS_PER_NODE='2', PORT='1234')
    done = run('slurm_train.sh', 'a b.py', '--amp', programs=programs, **settings)

    assert done.returncode == 0, done.stderr
    train = repository / 'tools' / 'train.py'
    assert done.stdout.splitlines() == [
        f'{task} {task % 2} 4 n1 1234 {train} a b.py --amp --launcher pytorch' for task in range(4)
    ]
    options = (tmp_path / 'options').read_text()
    assert '--partition=gpu' in options
    assert '--nodes=2 --ntasks=4 --ntasks-per-node=2' in options
    assert '--gres=gpu:2' in options


def test_slurm_without_gpus_or_partition(run, tmp_path):
    programs = dict(srun=SRUN, scontrol=SCONTROL, python=TELL)
    done = run('slurm_train.sh', 'c.py', programs=programs, GPUS='0', MASTER_ADDR='head')

    assert done.stdout.startswith('0 0 4 head 29500')
    assert 'gres' not in (tmp_path / 'options').read_text()
    assert 'partition' not in (tmp_path / 'options').read_text()


def test_no_slurm_is_one_line(run):
    done = run('slurm_train.sh', 'c.py', programs={})

    assert done.returncode == 2
    assert done.stderr == (
        'error: srun: expected Slurm on this machine, found none; use tools/dist_train.sh\n'
    )


@pytest.mark.parametrize(
    ('settings', 'expected'),
    [
        ({}, '--nnodes=1 --node-rank=0 --nproc-per-node=3 --master-addr=127.0.0.1'),
        (
            dict(NNODES='2', NODE_RANK='1', MASTER_ADDR='10.0.0.1', PORT='777'),
            '--nnodes=2 --node-rank=1 --nproc-per-node=3 --master-addr=10.0.0.1 --master-port=777',
        ),
    ],
)
def test_torchrun_is_told_about_all_nodes(run, repository, settings, expected):
    programs = dict(python='echo "$@"')
    done = run('dist_train.sh', 'c.py', '3', '--resume', programs=programs, **settings)

    assert f'start_processes.py {expected}' in done.stdout
    assert done.stdout.rstrip().endswith('/train.py c.py --launcher pytorch --resume')


SAY = """
from seg.utils.cli import run_main
def main():
    raise ValueError('a mistake')
run_main(main)"""


@pytest.mark.parametrize(
    ('body', 'code', 'line'),
    [
        (
            'if rank == "1": os.kill(os.getpid(), 9)',
            1,
            'error: process 1 was killed by SIGKILL, so the others were',
        ),
        (SAY, 2, 'error: a mistake'),  # that of all, once
        (
            'if rank == "1": sys.exit(3)',
            3,
            'error: process 1 failed with exit code 3, so the others',
        ),
    ],
    ids=['killed', 'told', 'failed'],
)
def test_what_ended_a_training_is_said_in_one_line(
    tmp_path, repository, start_processes, capfd, body, code, line
):
    script = tmp_path / 'work.py'
    setting = f'import os, sys, time\nsys.path.insert(0, {str(repository)!r})'
    script.write_text(f'{setting}\nrank = os.environ["RANK"]\n{body}\ntime.sleep(60)\n')

    assert start_processes('--nproc-per-node=2', str(script)) == code
    shown = capfd.readouterr().err
    assert 'Traceback' not in shown
    errors = [text for text in shown.splitlines() if text.startswith('error: ')]
    assert [text[: len(line)] for text in errors] == [line]


@pytest.mark.parametrize('script', ['dist_train.sh', 'slurm_train.sh'])
def test_missing_arguments_show_the_usage(run, script):
    done = run(script, programs={})

    assert done.returncode == 2
    assert done.stderr.startswith('usage: ')
