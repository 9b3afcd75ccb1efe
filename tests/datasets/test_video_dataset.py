import numpy as np
import pytest

from seg.datasets.index import Index
from seg.datasets.video_dataset import VideoDataset, choose_frames
from seg.utils.checks import UserError

# Videos of 6, 2 and 5 frames, of which the last has three usable ones.
INDEX = Index(
    {'offsets': np.array([0, 6, 8, 13]), 'usable': np.array([1] * 8 + [1, 0, 1, 0, 1], dtype=bool)},
    {},
)


class Numbers(VideoDataset):
    """Samples that say which frames they are made of."""

    def __init__(self, **settings):
        super().__init__('vos', [], {}, INDEX, 'numbers.json', **settings)

    def load_frames(self, index, frames):
        return {'video': int(self.rows[index]), 'frames': list(frames)}


def test_training_clips_are_random_frames_in_order():
    dataset = Numbers(num_frames=3, frame_interval=(1, 2))
    rng = np.random.default_rng(0)
    drawn = {tuple(dataset.draw(0, rng)['frames']) for _ in range(100)}
    assert drawn == {(i, i + 1, i + 2) for i in range(4)} | {(0, 2, 4), (1, 3, 5)}


def test_short_videos_are_left_out_of_the_training_only():
    assert [Numbers(num_frames=3)[i]['video'] for i in range(2)] == [0, 2]
    assert len(Numbers(num_frames=3)) == 2
    whole = Numbers(num_frames=3, test_mode=True)
    assert [whole[i]['frames'] for i in range(3)] == [list(range(n)) for n in (6, 2, 5)]


def test_clips_are_made_of_usable_frames():
    dataset = Numbers(num_frames=2, frame_interval=(1, 5))
    rng = np.random.default_rng(0)
    assert {tuple(dataset.draw(2, rng)['frames']) for _ in range(50)} == {(0, 2), (2, 4), (0, 4)}


def test_videos_can_be_left_out():
    dataset = Numbers(keep=np.array([False, True, True]))
    assert [dataset[i]['video'] for i in range(len(dataset))] == [1, 2]


def test_steps_shrink_to_fit_a_short_video():
    rng = np.random.default_rng(0)
    assert choose_frames(3, 2, (5, 9), rng).tolist() == [0, 2]
    assert choose_frames(1, 1, (2, 2), rng).tolist() == [0]
    assert choose_frames(4, 4, (2, 3), rng).tolist() == [0, 1, 2, 3]


def test_a_clip_depends_on_its_reference_alone():
    dataset = Numbers(num_frames=2, frame_interval=(1, 3))
    assert dataset[0]['frames'] == dataset[0]['frames']


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        ({'num_frames': 0}, 'num_frames: expected 1 or more, got 0'),
        ({'frame_interval': (0, 2)}, r'frame_interval: .* got \(0, 2\)'),
        ({'frame_interval': (3, 2)}, r'frame_interval: .* got \(3, 2\)'),
        ({'num_frames': 7}, r'numbers\.json: expected videos with at least 7 frames .* among 3'),
    ],
)
def test_settings_that_make_no_sense(settings, message):
    with pytest.raises(UserError, match=message):
        Numbers(**settings)
