"""The loop of annotating and training runs and reports what it should."""

import json
import subprocess
import sys

import pytest


@pytest.mark.slow
def test_the_loop_closes(repository, tmp_path):
    command = [sys.executable, 'tools/annotate_and_train.py', '--work-dir', str(tmp_path / 'loop')]
    command += ['--start-iters', '2', '--images', '2', '--iters', '2', '--further-images', '1']
    settings = dict(cwd=repository, capture_output=True, text=True, timeout=900)
    done = subprocess.run(command, check=True, **settings)
    report = json.loads(done.stdout.splitlines()[-1])
    assert report['first_pictures']['objects'] > 2
    before, after = report['further_pictures_before'], report['further_pictures_after']
    assert before['objects'] == after['objects'] > 0
    assert before['iou_after_box'] != after['iou_after_box']
    content = json.loads((tmp_path / 'loop/annotated/instances.json').read_text())
    assert len(content['images']) == 2
    again = subprocess.run(command, check=False, **settings)
    assert again.returncode == 2
    assert again.stderr.splitlines()[-1].startswith('error: --work-dir')
