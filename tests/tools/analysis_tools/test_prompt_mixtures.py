"""Mixtures of prompts are scored, and models that know fewer kinds are refused."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

import seg.apis
from seg.datasets.shapes import SHAPES_STUFF, SHAPES_THINGS
from seg.testing.fake_segmentor import FakeSegmentor
from seg.utils.cli import run_main

SCRIPT = Path(__file__).parents[3] / 'tools' / 'analysis_tools' / 'prompt_mixtures.py'


@pytest.fixture
def tool(monkeypatch, capsys):
    """Call the tool: exit code, standard output, standard error."""
    spec = importlib.util.spec_from_file_location('prompt_mixtures_script', SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def call(*arguments):
        monkeypatch.setattr(sys, 'argv', ['prompt_mixtures.py', *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            run_main(module.main)
        return stopped.value.code, *capsys.readouterr()

    return call


def test_the_embedded_model_answers_every_mixture(tool):
    code, out, _ = tool('--num', 1, '--json')
    assert code == 0
    rows = {row['prompts']: row for row in json.loads(out.splitlines()[-1])}
    assert {'text', 'click+box+text', 'mask+text'} <= set(rows)
    assert len({row['objects'] for row in rows.values()}) == 1
    assert rows['click, best of 3']['IoU'] >= rows['click, best-rated of 3']['IoU']
    assert all(row['IoU'] > 50 for row in rows.values())


def test_what_cannot_be_scored_is_named(tool, monkeypatch):
    assert 'expected --num >= 1 and --seed >= 0, got 0' in tool('--num', 0)[2]
    classes = SHAPES_THINGS + SHAPES_STUFF

    def load(*_):
        return FakeSegmentor(classes=classes, prompt_kinds={'click', 'box'})

    monkeypatch.setattr(seg.apis, 'load_model', load)
    code, _, error = tool('--num', 1)
    assert code == 2
    assert 'got one without mask, multi_click, text' in error
