import importlib.util
import json
import subprocess
import sys

import cv2

TOOL = 'tools/analysis_tools/shapes_sheet.py'


def test_sheets_and_statistics_are_written(repository, tmp_path, monkeypatch, capsys):
    spec = importlib.util.spec_from_file_location('shapes_sheet', repository / TOOL)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    arguments = f'--out-dir {tmp_path} --images 1 --clips 1 --json --num 20'
    monkeypatch.setattr(sys, 'argv', ['shapes_sheet.py', *arguments.split()])
    tool.main()
    for name in ('images', 'clips', 'expressions'):
        assert cv2.imread(str(tmp_path / f'shapes_{name}.jpg')) is not None
    statistics = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(statistics['things_losing_a_fifth']) == {'value', 'target', 'met'}


def test_a_bad_number_is_one_line(repository):
    done = subprocess.run(
        [sys.executable, str(repository / TOOL), '--images', '0'],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == 'error: --images: expected a number >= 1, got 0\n'
