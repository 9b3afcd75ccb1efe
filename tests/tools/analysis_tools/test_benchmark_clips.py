"""What following costs on clips of Shapes: figures that fit together, never a statement on time."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from seg.benchmark import clip_costs
from seg.benchmark.clip_costs import FrameCost, _followed, summary
from seg.datasets.shapes import ShapesWorld

TOOL = 'analysis_tools/benchmark_clips'


def test_figures_fit_together(run_tool):
    small = ('--size', '64x80', '--clips', '2', '--frames', '4', '--threads', '1', '--json')
    code, out, err = run_tool(TOOL, *small)

    assert code == 0, err
    report = json.loads(out.splitlines()[-1])
    assert report['frames'] == 2 * 3, 'on the first frame the object is given'
    assert report['ratio'] == pytest.approx(report['vos_seconds'] / report['panoptic_seconds'])
    assert len(report['ratio_by_clip']) == 2
    assert (report['ratio_anew'] is None) == (report['share_anew'] == 0)
    assert (report['ratio_sure'] is None) == (report['share_anew'] == 1)
    assert (report['threads'], report['size'], report['seed']) == (1, [64, 80], 0)
    assert '| frames | found anew |' in out


def test_a_thing_is_followed_that_the_first_frame_shows():
    for size in ((64, 80), (48, 1500)):  # in long frames things are small
        for index in range(6):
            clip = ShapesWorld(seed=1, size=size).clip(index, 2)
            mask = _followed(clip, np.random.default_rng(index))
            (segment,) = np.unique(clip.segment_map[0][mask])

            assert clip.is_thing[segment - 1]
            assert mask.sum() == clip.visible_areas[segment - 1, 0]


def test_both_tasks_take_turns(monkeypatch):
    begun = []
    model = SimpleNamespace(parameters=lambda: iter(()))
    session = SimpleNamespace(
        add_rows=lambda _: None, step=lambda _: begun.append('vos'), doubted_ids=[]
    )
    predictor = SimpleNamespace(model=model, start=lambda *_, **__: session)
    monkeypatch.setattr(clip_costs, 'find_segments', lambda *_: begun.append('panoptic'))
    frames, mask = np.zeros((4, 8, 8, 3), np.uint8), np.ones((8, 8), bool)
    list(clip_costs._frame_costs(predictor, frames, mask))

    assert begun == ['vos', 'panoptic', 'vos', 'vos', 'panoptic', 'panoptic', 'vos']


def test_ratios_are_those_of_sums():
    clips = [
        [FrameCost(1.0, 2.0, is_anew=True), FrameCost(3.0, 2.0, is_anew=False)],
        [FrameCost(4.0, 1.0, is_anew=False)],
    ]
    found = summary(clips)

    assert found['frames'] == 3
    assert found['ratio'] == pytest.approx(5 / 8)
    assert found['ratio_by_clip'] == pytest.approx([1.0, 0.25])
    assert (found['ratio_sure'], found['ratio_anew']) == pytest.approx((3 / 7, 2.0))
    assert found['share_anew'] == pytest.approx(1 / 3)
    assert summary(clips[1:])['ratio_anew'] is None


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['--frames', '1'], '--frames: expected 2 or more, got 1'),
        (['--seed', '-1'], '--seed: expected 0 or more, got -1'),
        (['--clips', '0'], '--clips'),
        (['--size', '32x32'], '--size: expected at least 48x48, got 32x32'),
    ],
)
def test_what_cannot_be_measured_is_refused(run_tool, options, message):
    code, _, err = run_tool(TOOL, *options)

    assert code != 0
    assert message in err
    assert 'Traceback' not in err
