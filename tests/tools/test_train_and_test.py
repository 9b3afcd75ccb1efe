import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.logging import MMLogger

from seg.testing.toy_training import ToyMetric, write_toy_config
from seg.utils.cli import run_main

TOOLS = Path(__file__).parents[2] / 'tools'


@pytest.fixture
def run_tool(monkeypatch, tmp_path):
    """Run a tool in this process, which has imported everything already; returns its exit code."""
    monkeypatch.chdir(tmp_path)

    def run(name: str, *arguments: object) -> int:
        torch.set_num_threads(1)
        MMLogger._instance_dict.clear()  # a logger of the same second writes to a closed stream
        spec = importlib.util.spec_from_file_location(f'tool_{name}', TOOLS / f'{name}.py')
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        monkeypatch.setattr(sys, 'argv', [f'{name}.py', *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            run_main(module.main)
        return stop.value.code

    return run


def test_train_then_test_prints_metrics_as_last_line(run_tool, tmp_path, capsys, monkeypatch):
    config = write_toy_config(tmp_path)
    quiet = ('--cfg-options', 'visualizer=none', 'experiment_name=train')
    assert run_tool('train', config, '--seed', 3, '--amp', *quiet) == 0
    checkpoint = tmp_path / 'work_dirs' / 'toy_training' / 'best.pth'
    capsys.readouterr()
    out = tmp_path / 'results' / 'metrics.json'
    options = ('visualizer=none', 'experiment_name=test')
    assert run_tool('test', config, checkpoint, '--out', out, '--cfg-options', *options) == 0
    metrics = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert metrics['toy/score'] == -metrics['toy/error']
    assert json.loads(out.read_text()) == metrics
    lines = (tmp_path / 'work_dirs/toy_training/learning_curve.jsonl').read_text().splitlines()
    capsys.readouterr()
    monkeypatch.setattr(ToyMetric, 'compute_metrics', lambda *_: {'score': float('nan')})
    assert run_tool('test', config, checkpoint, '--out', out, '--cfg-options', *options) == 0
    assert capsys.readouterr().out.splitlines()[-1] == '{"toy/score": null}'
    assert json.loads(out.read_text()) == {'toy/score': None}
    assert metrics['toy/score'] == max(json.loads(line)['metrics']['toy/score'] for line in lines)


def test_mixed_precision_may_be_told_its_type(run_tool, tmp_path):
    config = write_toy_config(tmp_path)
    options = ('visualizer=none', 'experiment_name=amp', 'train_cfg.max_iters=1')
    told = ('--cfg-options', *options, 'optim_wrapper.dtype=bfloat16')
    assert run_tool('train', config, '--amp', *told) == 0
    assert run_tool('train', config, *told) == 2  # without it there is no such setting


def test_training_goes_on_from_the_latest_state(run_tool, tmp_path, capsys):
    config = write_toy_config(tmp_path)
    options = ('--cfg-options', 'visualizer=none', 'experiment_name=resume')
    assert run_tool('train', config, '--work-dir', 'run', *options, 'train_cfg.max_iters=5') == 0
    assert run_tool('train', config, '--work-dir', 'run', '--resume', *options) == 0
    assert 'resumed at epoch 0, iteration 5' in capsys.readouterr().err
    assert (tmp_path / 'run' / 'iter_20.pth').is_file()


@pytest.mark.parametrize(
    ('tool', 'arguments', 'message'),
    [
        ('train', ['absent.py'], 'config absent.py: expected a file'),
        ('train', ['CONFIG', '--resume', 'no.pth'], '--resume no.pth: expected a checkpoint file'),
        ('train', ['CONFIG', '--work-dir', 'CONFIG'], 'toy_training.py: expected a folder, but '),
        ('train', ['CONFIG', '--auto-scale-lr'], 'expected the config to have auto_scale_lr'),
        ('train', ['CONFIG', '--cfg-options', 'modle.width=2'], "Did you mean 'model'"),
        ('train', ['default_runtime.py'], 'expected a key model'),
        pytest.param(
            'train',
            ['CONFIG', '--amp', '--cfg-options', 'optim_wrapper.dtype=float16'],
            "expected 'bfloat16' or 'auto' without a GPU, got 'float16'",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason='with a GPU it is fine'),
        ),
        ('test', ['CONFIG', 'no.pth'], 'checkpoint no.pth: expected a file'),
        ('test', ['CONFIG', 'default_runtime.py'], 'got a file of another kind'),
        ('test', ['CONFIG', 'CONFIG', '--out', '.'], '--out .: expected a file, got a folder'),
        ('test', ['CONFIG', 'CONFIG', '--show-dir', 'CONFIG/a'], 'expected a folder, but '),
    ],
)
def test_mistakes_end_in_one_line(run_tool, tmp_path, capsys, tool, arguments, message):
    config = write_toy_config(tmp_path)
    arguments = [argument.replace('CONFIG', str(config)) for argument in arguments]
    assert run_tool(tool, *arguments) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith('error: ')
    assert message in last


@pytest.mark.parametrize('tool', ['train', 'test'])
def test_help_loads_nothing_heavy(tool):
    code = (
        'import runpy, sys; sys.argv = ["tool", "--help"]\n'
        'try: runpy.run_path(sys.path.pop(), run_name="__main__")\n'
        'except SystemExit: print(sorted({"torch", "mmengine", "numpy"} & set(sys.modules)))'
    )
    code = f'import sys; sys.path.append({str(TOOLS / f"{tool}.py")!r})\n{code}'
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == '[]'
    assert '--cfg-options' in done.stdout


@pytest.mark.parametrize(
    ('script', 'arguments', 'command'),
    [
        ('dist_train.sh', ['c.py', '2', '--amp'], 'train.py c.py --launcher pytorch --amp'),
        ('dist_test.sh', ['c.py', 'w.pth', '2'], 'test.py c.py w.pth --launcher pytorch'),
    ],
)
def test_scripts_pass_on_what_several_machines_need(script, arguments, command):
    places = {'NNODES': '3', 'NODE_RANK': '1', 'MASTER_ADDR': 'host', 'PORT': '1234'}
    done = subprocess.run(
        [TOOLS / script, *arguments],
        env={**os.environ, 'PYTHON': 'echo', **places},
        capture_output=True,
        text=True,
        check=True,
    )
    shown = done.stdout.strip()
    assert shown.endswith(command)
    for option in (
        *('--nnodes=3', '--node-rank=1', '--nproc-per-node=2'),
        *('--master-addr=host', '--master-port=1234'),
    ):
        assert option in shown
    usage = subprocess.run([TOOLS / script], capture_output=True, text=True, check=False)
    assert (usage.returncode, usage.stderr.split()[0]) == (2, 'usage:')
