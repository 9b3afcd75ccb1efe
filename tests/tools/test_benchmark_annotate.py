"""The benchmark of the annotation page runs and reports what it should."""

import json
import subprocess
import sys

import pytest

from seg.testing.annotation_page import BROWSERS, find_browser
from seg.utils.checks import UserError


@pytest.mark.webui
@pytest.mark.slow
def test_it_reports_times_and_draws_pictures(repository, tmp_path):
    pytest.importorskip('playwright', reason='no playwright: pip install playwright')
    try:
        find_browser()
    except UserError:
        pytest.skip(f'no browser: apt install chromium (looked for {", ".join(BROWSERS)})')
    command = [sys.executable, 'tools/analysis_tools/benchmark_annotate.py', '--clicks', '2']
    command += ['--users', '2', '--frames', '0', '--pictures', str(tmp_path)]
    settings = dict(cwd=repository, capture_output=True, text=True, timeout=600)
    done = subprocess.run(command, check=True, **settings)
    report = json.loads(done.stdout.splitlines()[-1])
    assert report['users'] == 2
    assert 0 < report['click']['median_ms'] <= report['click']['p95_ms']
    assert report['page_bytes'] < 100_000
    assert len(list(tmp_path.glob('annotate_*.jpg'))) == 3
