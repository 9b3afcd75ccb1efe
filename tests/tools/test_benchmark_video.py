"""The benchmark of videos runs and reports what it should."""

import json
import subprocess
import sys

import pytest


@pytest.mark.slow
def test_it_reports_memory_and_time(repository, tmp_path):
    command = [sys.executable, 'tools/analysis_tools/benchmark_video.py', '--frames', '3', '6']
    command += ['--long-objects', '1', '--objects', '1', '2', '--size', '64', '64', '--json']
    command += ['--out', str(tmp_path / 'bench')]
    settings = dict(cwd=repository, capture_output=True, text=True, timeout=300)
    done = subprocess.run(command, check=True, **settings)
    report = json.loads(done.stdout.splitlines()[-1])

    assert [row['late_frame'] for row in report['long']] == [6]
    assert [row['objects'] for row in report['objects']] == [1, 2]
    assert all(row['seconds'] > 0 for row in report['objects'])
    assert (tmp_path / 'bench' / 'report.png').stat().st_size > 5000
    assert '| objects | frame |' in (tmp_path / 'bench' / 'report.md').read_text()
