"""The benchmark of videos runs and reports what it should."""

import json
import runpy
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from seg.benchmark.measuring import in_turns

CPU = torch.device('cpu')


def test_videos_go_on_in_turns():
    calls = []
    videos = [
        SimpleNamespace(step=lambda frame, name=name: calls.append((name, frame))) for name in 'ab'
    ]
    medians = in_turns(videos, CPU, 3)

    assert calls == [('a', 0), ('b', 0), ('b', 1), ('a', 1), ('a', 2), ('b', 2)]
    assert [took.on(CPU) for took in medians] == [took.cpu for took in medians]
    assert len(medians) == 2


def test_a_young_video_goes_on_beside_the_long_one(repository):
    tool = runpy.run_path(str(repository / 'tools' / 'analysis_tools' / 'benchmark_video.py'))
    started = []

    def start_video():
        steps = []
        started.append(steps)
        return SimpleNamespace(step=steps.append)

    found = tool['measure_long'](start_video, 1, (3, 7), CPU)
    compared = found['compared_frames']

    assert [len(steps) for steps in started] == [7 + compared, 3 + compared]
    assert (found['early_frame'], found['late_frame']) == (3, 7)
    assert found['time_growth'] == found['late_seconds'] / found['early_seconds'] - 1


@pytest.mark.slow
def test_it_reports_memory_and_time(repository, tmp_path):
    command = [sys.executable, 'tools/analysis_tools/benchmark_video.py', '--frames', '3', '6']
    command += ['--long-objects', '1', '--objects', '1', '2', '--size', '64x64', '--json']
    command += ['--out', str(tmp_path / 'bench')]
    settings = dict(cwd=repository, capture_output=True, text=True, timeout=300)
    done = subprocess.run(command, check=True, **settings)
    report = json.loads(done.stdout.splitlines()[-1])

    assert [row['late_frame'] for row in report['long']] == [6]
    assert [row['objects'] for row in report['objects']] == [1, 2]
    assert all(row['seconds'] > 0 for row in report['objects'])
    assert (tmp_path / 'bench' / 'report.png').stat().st_size > 5000
    assert '| objects | frame |' in (tmp_path / 'bench' / 'report.md').read_text()


@pytest.mark.parametrize(
    ('arguments', 'said'),
    [
        (('--objects', '--long-objects'), 'expected numbers of objects there or behind'),
        (('--objects', '0'), 'objects: expected numbers >= 1'),
        (('--frames', '5', '5'), 'frames: expected 1 <= EARLY < LATE, got 5 and 5'),
    ],
)
def test_what_cannot_be_measured_is_told_in_one_line(run_tool, arguments, said):
    code, _, err = run_tool('analysis_tools/benchmark_video', *arguments)

    assert code == 2
    assert said in err


def test_too_little_memory_is_told_with_the_size(run_tool, monkeypatch):
    def no_room(*args, **kwargs):
        raise MemoryError('no room')

    monkeypatch.setattr('seg.benchmark.workloads.video_workload', no_room)
    code, _, err = run_tool('analysis_tools/benchmark_video', '--size', '64x96')

    assert code == 2
    assert 'a video: out of memory at 64x96 (no room); use --size 32x48' in err
