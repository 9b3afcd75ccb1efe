import importlib.util
import json
import sys
from pathlib import Path

import pytest

from seg.utils.cli import run_main

SCRIPT = Path(__file__).parents[3] / 'tools' / 'analysis_tools' / 'bench_predictor.py'
NANO = SCRIPT.parents[2] / 'configs' / 'rap_sam' / 'rap_sam_nano_quick_shapes.py'


@pytest.fixture
def bench(monkeypatch, capsys):
    """Call the tool with arguments: exit code, standard output, standard error."""
    spec = importlib.util.spec_from_file_location('bench_predictor', SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def call(*arguments):
        monkeypatch.setattr(sys, 'argv', ['bench_predictor.py', *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            run_main(module.main)
        return stopped.value.code, *capsys.readouterr()

    return call


def test_json_is_the_last_line(bench):
    code, out, _ = bench('--config', NANO, '--size', 64, '--repeats', 1, '--json')
    assert code == 0
    result = json.loads(out.splitlines()[-1])
    assert result['set_image_seconds'] > 0
    assert result['ratio'] == pytest.approx(
        result['click_seconds'] / result['set_image_seconds'], abs=0.05
    )


def test_sizes_that_cannot_be_are_refused(bench):
    code, _, err = bench('--size', 0)
    assert code == 2
    assert '--size: expected 1 or more, got 0' in err
