import numpy as np
import pytest
import torch

from seg.structures import PanopticData, Segment, TrackData
from seg.testing.tiny_rapsam import toy_sample
from seg.visualization import SegmentVisualizer
from seg.visualization.clip_strip import clip_strip, strip_frames, track_layers

CLASSES = tuple('abcde')


def clip_of_bars(num_frames=3):
    clip, sample = toy_sample('vos', num_frames=num_frames)
    images = {t: clip[t].permute(1, 2, 0).numpy() for t in range(num_frames)}
    return images, sample


def strip(images, sample):
    return clip_strip(images, sample, CLASSES, 3, SegmentVisualizer(min_size=0))


def test_frames_are_spread_from_the_first_to_the_last():
    assert strip_frames(48) == [0, 9, 19, 28, 38, 47]
    assert strip_frames(3) == [0, 1, 2]
    assert strip_frames(1) == [0]


def test_a_strip_has_two_rows_and_one_column_per_frame():
    images, sample = clip_of_bars()
    sample.pred_tracks = TrackData(torch.zeros(3, 64, 64, dtype=torch.int32), (1, 2, 3))
    empty = strip(images, sample)
    ids = sample.gt_segments.object_ids[:, None, None, None]
    sample.pred_tracks = TrackData((sample.gt_segments.masks * ids).sum(0).int(), (1, 2, 3))
    full = strip(images, sample)

    assert full.shape == empty.shape
    assert full.shape[1] > 3 * 64
    half = full.shape[0] // 2
    assert np.array_equal(full[:half], empty[:half])  # the truth
    assert not np.array_equal(full[half:], empty[half:])


def test_objects_out_of_sight_have_no_layer():
    id_maps = torch.zeros(2, 4, 4, dtype=torch.int32)
    id_maps[1, :2] = 7
    tracks = TrackData(id_maps, (5, 7))

    assert track_layers(tracks, 0) == []
    assert [layer.caption for layer in track_layers(tracks, 1)] == ['7']


def test_panoptic_clips_are_drawn_too():
    images, sample = clip_of_bars(2)
    segment_map = torch.ones(2, 64, 64, dtype=torch.int32)
    sample.pred_panoptic = PanopticData(segment_map, [Segment(1, 0, True, 0.5)])

    assert strip(images, sample).ndim == 3


def test_a_sample_without_prediction_is_refused():
    with pytest.raises(ValueError, match='got neither'):
        strip(*clip_of_bars())
