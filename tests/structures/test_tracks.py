"""Predicted objects of a clip: what is kept of them and what is refused."""

import numpy as np
import pytest
import torch

from seg.structures import ClipSample, TrackData, Tube


def _tracks() -> TrackData:
    maps = torch.zeros(3, 4, 5, dtype=torch.int32)
    maps[0, :2] = 7
    maps[1, 2:] = 2
    return TrackData(maps, (7, 2, 9), torch.full((3, 3), 0.5))


def _one_frame(object_ids: tuple[int, ...]) -> TrackData:
    return TrackData(torch.zeros(1, 2, 2, dtype=torch.int32), object_ids)


def test_masks_of_an_object_are_found_by_its_id() -> None:
    masks = _tracks().masks(7)

    assert masks.dtype == torch.bool
    assert masks.sum(dim=(1, 2)).tolist() == [10, 0, 0]


def test_an_object_that_is_never_seen_has_empty_masks() -> None:
    assert not _tracks().masks(9).any()


def test_an_object_that_is_not_followed_is_named() -> None:
    with pytest.raises(KeyError, match='got 5'):
        _tracks().masks(5)


def test_maps_of_frames_are_stacked() -> None:
    tracks = TrackData.of_frames([np.zeros((2, 3), np.uint8), torch.ones(2, 3)], [1])

    assert tracks.id_maps.dtype == torch.int32
    assert (tracks.num_frames, tuple(tracks.id_maps.shape)) == (2, (2, 2, 3))


def test_frames_of_several_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match=r'one size, got \[\(2, 2\), \(2, 3\)\]'):
        TrackData.of_frames([np.zeros((2, 3)), np.zeros((2, 2))], [1])


def test_no_frame_is_refused() -> None:
    with pytest.raises(ValueError, match='at least one frame'):
        TrackData.of_frames([], [1])


@pytest.mark.parametrize('object_ids', [(1, 1), (0,), (-3,)])
def test_ids_that_are_no_ids_are_refused(object_ids: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match='different ids >= 1'):
        _one_frame(object_ids)


def test_an_id_that_is_not_followed_is_refused_in_a_map() -> None:
    with pytest.raises(ValueError, match=r'got \[3\] in frame 1'):
        TrackData.of_frames([np.ones((2, 2)), np.full((2, 2), 3)], [1])


def test_maps_of_another_type_or_shape_are_refused() -> None:
    with pytest.raises(TypeError, match='expected int32'):
        TrackData(torch.zeros(1, 2, 2), (1,))
    with pytest.raises(ValueError, match=r'\(T, H, W\)'):
        TrackData(torch.zeros(2, 2, dtype=torch.int32), (1,))


def test_scores_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r'\(N, T\) = \(1, 1\)'):
        TrackData(torch.zeros(1, 2, 2, dtype=torch.int32), (1,), torch.zeros(1))


def test_predictions_move_with_their_sample() -> None:
    sample = ClipSample()
    sample.pred_tracks = _tracks()
    sample.pred_tubes = [Tube(0, 0.5, (None,))]

    moved = sample.to('meta')

    assert moved.pred_tracks.id_maps.is_meta
    assert moved.pred_tracks.scores.is_meta
    assert moved.pred_tubes == [Tube(0, 0.5, (None,))]


@pytest.mark.parametrize(
    ('label', 'score', 'rles', 'message'),
    [
        (-1, 0.5, (None,), 'label'),
        (0, float('nan'), (None,), 'score'),
        (0, 1.5, (None,), 'score'),
        (0, 0.5, (), 'rles'),
    ],
)
def test_a_tube_that_is_none_is_refused(
    label: int, score: float, rles: tuple[None, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Tube(label, score, rles)
