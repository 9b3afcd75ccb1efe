"""Sections of the report card on videos: on real clips of Shapes, with known answers."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData

import seg.apis.report.interactive_video
import seg.apis.report.vos
from seg.apis.report import REPORT_TASKS, ReportData, evaluate_task
from seg.apis.report.color_baseline import color_tracks
from seg.apis.report.interactive_video import follow_corrected
from seg.apis.report.video_baselines import copy_first_masks, repeat_first_frame, tubes_of
from seg.apis.shapes_clips import ShapesClips
from seg.datasets.shapes import SHAPES_STUFF, SHAPES_THINGS
from seg.evaluation.functional.clicks import Click
from seg.structures import ClipSample, PanopticData, Prompts, Segment, Task, TrackData
from seg.testing.fake_segmentor import ALL_PROMPT_KINDS, FakeSegmentor
from seg.testing.tiny_rapsam import model_for_programs, tiny_video_cfg
from seg.utils.checks import UserError
from seg.visualization import SegmentVisualizer

VIDEO = ['vos', 'interactive_video', 'vis', 'video_panoptic', 'identity']
SHORT = ReportData(num_clips=2, num_frames=24)


class VideoOracle(FakeSegmentor):
    """Answers clips with the ground truth, up to a frame from which on it forgets."""

    def __init__(self, forget_at=None):
        super().__init__(classes=SHAPES_THINGS + SHAPES_STUFF, prompt_kinds=ALL_PROMPT_KINDS)
        self.head = SimpleNamespace(memory=True, panoptic_tracker=True)
        self.forget_at = forget_at

    def test_step(self, data):
        (sample,) = data['data_samples']
        segments = sample.gt_segments
        masks = segments.masks.clone()
        masks[:, self.forget_at :] &= self.forget_at is None
        id_map = (masks * segments.object_ids[:, None, None, None]).amax(dim=0).int()
        if 'prompts' in sample:
            asked = sorted(set(sample.prompts.object_ids.tolist()))
            id_map[~torch.isin(id_map, torch.tensor(asked))] = 0
            sample.pred_tracks = TrackData(id_map, tuple(asked))
            return [sample]
        shown = set(id_map.unique().tolist())
        rows = zip(segments.object_ids.tolist(), segments.labels.tolist(), strict=True)
        found = [Segment(i, label, label < 8, 1.0) for i, label in rows if i in shown]
        sample.pred_panoptic = PanopticData(id_map, found)
        sample.pred_tubes = tubes_of(sample.pred_panoptic)
        return [sample]


@pytest.fixture
def oracle_runs(monkeypatch):
    """Without memory, the truth of the first frames; corrected, what was known before."""

    def follow(model, packed, clicks, frame):
        assert (len(clicks) > 0) == (model.forget_at is not None)
        return model.test_step({'data_samples': [packed.asked['click']]})[0]

    monkeypatch.setattr(seg.apis.report.interactive_video, 'follow_corrected', follow)

    def answer(model, packed):
        return VideoOracle(forget_at=2).test_step({'data_samples': [packed.asked['mask']]})[0]

    monkeypatch.setattr(seg.apis.report.vos, 'answer_without_memory', answer)


def evaluate(model, name, data=SHORT):
    report = REPORT_TASKS[name]
    *_, result = evaluate_task(model, report, report.samples(model, data))
    return result


@pytest.mark.usefixtures('oracle_runs')
@pytest.mark.parametrize('name', VIDEO)
def test_the_truth_scores_one_hundred_and_the_baseline_does_not(name):
    result = evaluate(VideoOracle(), name)

    assert list(result.model) == [
        key for _, key in REPORT_TASKS[name].keys if not key.endswith('no_dpsr')
    ]
    for key, score in result.model.items():
        if key in ('num_cases', 'num_reappearances'):
            assert score >= 2
        elif key == 'J&F_no_memory':
            assert score < 60
        elif not np.isnan(score):  # no such event in two clips
            assert score == pytest.approx(100), key
    main = next(iter(result.model))
    assert len(result.per_sample) == 2 * REPORT_TASKS[name].clip_factor
    scored = [score for score in result.per_sample if not np.isnan(score)]  # some only reappear
    assert scored == pytest.approx([100] * len(scored))
    assert scored
    assert 0 <= result.baseline[main] < 60


@pytest.mark.usefixtures('oracle_runs')
@pytest.mark.parametrize('name', ['interactive_video', 'vis', 'video_panoptic', 'identity'])
def test_what_is_forgotten_costs(name):
    result = evaluate(VideoOracle(forget_at=6), name)

    assert next(iter(result.model.values())) < 80


def test_clips_are_held_out_and_prompted_alike():
    model = VideoOracle()
    clips = ShapesClips(Task.INTERACTIVE_VIDEO, model.cfg, 1, 24, 3, kinds=('click', 'text'))
    (packed,) = clips
    click, text = packed.asked['click'].prompts, packed.asked['text'].prompts

    assert clips.dataset.world.seed == 2 * 3 + 1  # training worlds are even
    assert packed.frames.shape == (24, 128, 160, 3)
    assert packed.sample is packed.asked['click']
    assert set(text.object_ids.tolist()) <= set(click.object_ids.tolist())
    assert (packed.sample.gt_segments.labels[packed.sample.prompt_targets] < 8).all()


@pytest.mark.slow
def test_a_network_is_corrected_mid_video():
    model = model_for_programs(tiny_video_cfg())
    report = REPORT_TASKS['interactive_video']
    (packed,) = report.samples(model, ReportData(num_clips=1, num_frames=4))
    clicks = {int(packed.sample.prompts.object_ids[0]): Click(10.5, 20.5, is_positive=True)}
    plain, corrected = (
        follow_corrected(model, packed, said, 2).pred_tracks for said in ({}, clicks)
    )

    assert plain.id_maps.shape == (4, 128, 160)
    assert torch.equal(plain.id_maps[:2], corrected.id_maps[:2])
    assert not torch.equal(plain.id_maps[2:], corrected.id_maps[2:])


@pytest.mark.slow
def test_a_network_with_a_memory_is_scored_and_drawn():
    """What networks write for whole clips is what metrics and pictures read."""
    model = model_for_programs(tiny_video_cfg())
    for name in VIDEO:
        report = REPORT_TASKS[name]
        assert report.fits(model) == (name not in ('vis', 'video_panoptic'))  # no tracker
    samples = REPORT_TASKS['vos'].samples(model, ReportData(num_clips=1, num_frames=3))
    (packed,) = samples
    packed.sample.prompts.frame_index[-1] = 1  # as if it appeared later
    last = int(packed.sample.prompts.object_ids[-1])
    answers = REPORT_TASKS['vos'].answers(model, packed)
    picture = REPORT_TASKS['vos'].draw(
        packed, answers['main'], samples.metainfo, SegmentVisualizer(min_size=0)
    )

    assert answers['main'].pred_tracks.num_frames == 3
    assert answers['no_memory'].pred_tracks.num_frames == 3
    assert answers['no_dpsr'].pred_tracks.num_frames == 3
    assert model.head.dual_path is not None, 'it is back'
    assert not (answers['no_memory'].pred_tracks.id_maps[0] == last).any()
    assert 'pred_tracks' not in packed.sample
    assert picture.shape[1] > 3 * 160


def test_copies_begin_where_objects_appear():
    masks = torch.zeros(2, 4, 6, 6, dtype=torch.bool)
    masks[0, :, :2], masks[1, 2:, 4:] = True, True
    sample = ClipSample()
    with pytest.raises(UserError, match='AppearingMaskPrompts'):
        copy_first_masks(sample)
    sample.gt_segments = InstanceData(masks=masks)
    sample.prompts = Prompts.create(masks=masks[:, 2], frame_index=torch.tensor([0, 2]))
    sample.prompt_targets = torch.arange(2)
    tracks = copy_first_masks(sample)

    assert [frame.unique().tolist() for frame in tracks.id_maps] == 2 * [[0, 1]] + 2 * [[0, 1, 2]]


def test_colours_are_kept_from_the_clicked_frame_on():
    frames = np.zeros((3, 8, 8, 3), np.uint8)
    frames[1:, :4] = 200
    sample = ClipSample(metainfo=dict(img_shape=(8, 8), ori_shape=(8, 8)))
    clicks = torch.tensor([[[2.5, 1.5]], [[2.5, 6.5]]])
    sample.prompts = Prompts.create(
        points=clicks, object_ids=torch.tensor([4, 4]), frame_index=torch.tensor([1, 2])
    )
    tracks = color_tracks(frames, sample)

    assert tracks.object_ids == (4,)
    assert not tracks.id_maps[0].any()
    assert (tracks.id_maps[1] == 4).nonzero()[:, 0].unique().tolist() == [0, 1, 2, 3]
    assert (tracks.id_maps[2] == 4).nonzero()[:, 0].unique().tolist() == [4, 5, 6, 7]
    sample.prompts.point_labels[1] = 0
    assert not color_tracks(frames, sample).id_maps[2, 4:].any()


def test_a_map_is_repeated():
    one = PanopticData(torch.ones(1, 2, 3, dtype=torch.int32), [Segment(1, 0, True, 0.5)])
    assert repeat_first_frame(one, 4).segment_map.shape == (4, 2, 3)
    assert [tube.label for tube in tubes_of(repeat_first_frame(one, 4))] == [0]
    with pytest.raises(UserError, match=r'expected the map of one frame'):
        repeat_first_frame(repeat_first_frame(one, 2), 2)
