import importlib.util
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import seg.apis
from seg.apis import model_entry
from seg.apis.model_zoo import DEFAULT_MODEL
from seg.datasets.shapes import SHAPES_STUFF, SHAPES_THINGS
from seg.structures import Task
from seg.testing.fake_segmentor import FakeSegmentor
from seg.utils.cli import run_main

SCRIPT = Path(__file__).parents[3] / 'tools' / 'analysis_tools' / 'report_card.py'


@pytest.fixture
def report_card(monkeypatch, tmp_path, capsys):
    """Call the tool: exit code, standard output, standard error."""
    spec = importlib.util.spec_from_file_location('report_card_script', SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def load(name, checkpoint, device):
        entry = model_entry(DEFAULT_MODEL) if checkpoint is None else None
        if name == 'one_task.py':
            entry = SimpleNamespace(tasks=(Task.PANOPTIC,))
        classes = ('cat', *SHAPES_THINGS[1:]) if name == 'other.py' else SHAPES_THINGS
        return FakeSegmentor(entry=entry, classes=classes + SHAPES_STUFF)

    monkeypatch.setattr(seg.apis, 'load_model', load)
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        monkeypatch.setattr(sys, 'argv', ['report_card.py', *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            run_main(module.main)
        return stopped.value.code, *capsys.readouterr()

    return call


def test_json_is_the_last_line_and_repeats(report_card):
    code, out, _ = report_card('--num', 2, '--seed', 5, '--json')
    assert code == 0
    result = json.loads(out.splitlines()[-1])
    assert list(result['panoptic']) == ['PQ', 'SQ', 'RQ']
    assert list(result['interactive_image']) == ['mIoU@1']
    assert set(result['baseline']) == {'panoptic', 'interactive_image'}
    assert result['shapes']['most_things'] <= 8
    assert out.count('videos: not scored, as the model has no streaming memory') == 1
    assert report_card('--num', 2, '--seed', 5, '--json')[1] == out
    assert report_card('--num', 2, '--seed', 6, '--json')[1] != out


@pytest.mark.parametrize('flags', [[], ['--bf16']])
def test_the_network_alone_can_run_in_16_bits(report_card, monkeypatch, flags):
    precisions = set()
    test_step = FakeSegmentor.test_step

    def watched(self, *args, **kwargs):
        precisions.add(torch.is_autocast_enabled('cpu'))
        return test_step(self, *args, **kwargs)

    monkeypatch.setattr(FakeSegmentor, 'test_step', watched)
    code, _, err = report_card('--tasks', 'panoptic', '--num', 1, *flags)

    assert code == 0, err
    assert precisions == {bool(flags)}
    assert not torch.is_autocast_enabled('cpu')


def test_one_task_alone_and_a_page(report_card, tmp_path):
    (tmp_path / 'learning_curve.jsonl').write_text('')
    code, out, _ = report_card(
        '--tasks', 'interactive_image', '--num', 1, '--out', 'page', '--work-dir', '.'
    )
    assert code == 0
    assert 'panoptic' not in out
    assert 'wrote page/README.md' in out
    assert (tmp_path / 'page' / 'interactive_image_worst.png').is_file()
    assert (tmp_path / 'page' / 'learning_curve.png').is_file()


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--tasks', 'panoptik'], "Did you mean 'panoptic'"),
        (['--num', '0'], '--num >= 1'),
        (['--int8', '--bf16'], '--int8: expected it without --bf16'),
        (['--frames', '10'], '--frames >= 24'),
        (
            ['--tasks', 'vos'],
            'expected one that the model knows (panoptic, interactive_image), got vos',
        ),
        (['--checkpoint', 'w.pth'], 'add --config'),
        (['--config', 'other.py', '--checkpoint', 'w.pth'], 'the 11 classes of Shapes'),
        (['--work-dir', 'absent'], '--work-dir absent: expected the folder of a run with learning'),
        (
            ['--config', 'one_task.py', '--tasks', 'interactive_image'],
            'task: expected one that the model knows (panoptic), got interactive_image',
        ),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(report_card, tmp_path, arguments, message):
    code, _, err = report_card(*arguments, '--out', 'page')
    assert code == 2
    assert message in err
    assert err.count('\n') == 1
    assert not list(tmp_path.iterdir())


def test_a_learning_curve_needs_a_page(report_card, tmp_path):
    (tmp_path / 'learning_curve.jsonl').write_text('')
    code, _, err = report_card('--work-dir', '.')
    assert code == 2
    assert err == (
        'error: --work-dir .: expected --out too, as the learning curve is drawn on the page; '
        'add --out DIR\n'
    )


def test_scores_that_do_not_exist_are_null_and_not_drawn(report_card, tmp_path):
    metrics = '{"panoptic/PQ": null, "interactive/mIoU@1": null}'
    (tmp_path / 'learning_curve.jsonl').write_text(f'{{"cpu_minutes": 1, "metrics": {metrics}}}\n')
    code, _, err = report_card('--num', 1, '--out', 'page', '--work-dir', '.', '--json')
    assert code == 0, err
    assert (tmp_path / 'page' / 'learning_curve.png').is_file()
