import json

import numpy as np
import pytest
from PIL import Image

from seg.datasets import YouTubeVISDataset
from seg.datasets.converters.base import run_length_code, run_lengths
from seg.registry import DATASETS
from seg.utils.checks import UserError

SIZE = (40, 50)


def toy_mask(frame):
    mask = np.zeros(SIZE, dtype=bool)
    mask[5:15, 5 + frame : 25 + frame] = True
    return mask


def toy_content():
    """Two videos, the second without objects; the first has a snake in frames 0, 1 and 2."""
    seen = [run_lengths(toy_mask(0)), run_length_code(toy_mask(1)), run_lengths(toy_mask(2)), None]
    names = [f'one/{t:05d}.jpg' for t in range(4)]
    videos = [
        {'id': 5, 'file_names': names, 'height': 40, 'width': 50},
        {'id': 6, 'file_names': names, 'height': 40, 'width': 50},
    ]
    annotations = [
        {'id': 31, 'video_id': 5, 'category_id': 9, 'segmentations': seen, 'iscrowd': 0},
        {'id': 32, 'video_id': 5, 'category_id': 2, 'segmentations': [None] * 3 + seen[:1]},
    ]
    categories = [{'id': 9, 'name': 'snake'}, {'id': 2, 'name': 'hand'}]
    return {'videos': videos, 'annotations': annotations, 'categories': categories}


@pytest.fixture
def toy(tmp_path):
    """Function that writes the toy data set, perhaps changed, and returns its arguments."""

    def write(change=None):
        content = toy_content()
        if change is not None:
            change(content)
        (tmp_path / 'JPEGImages' / 'one').mkdir(parents=True, exist_ok=True)
        for t in range(4):
            Image.new('RGB', SIZE[::-1]).save(tmp_path / f'JPEGImages/one/{t:05d}.jpg')
        (tmp_path / 'train.json').write_text(json.dumps(content))
        return {
            'ann_file': tmp_path / 'train.json',
            'img_dir': tmp_path / 'JPEGImages',
            'task': 'panoptic',
            'pipeline': [],
        }

    return write


def test_objects_have_masks_classes_and_ids(toy):
    dataset = DATASETS.build({'type': 'YouTubeVISDataset', **toy()})
    assert dataset.metainfo['classes'] == ('hand', 'snake')
    assert dataset.metainfo['category_ids'] == (2, 9)
    sample = dataset.load(0)
    assert sample['object_ids'].tolist() == [31, 32]
    assert sample['labels'].tolist() == [1, 0]
    expected = [toy_mask(0), toy_mask(1), toy_mask(2), np.zeros(SIZE, dtype=bool)]
    np.testing.assert_array_equal(sample['masks'][0].numpy(), np.stack(expected))
    assert (sample['video_id'], sample['ori_shape']) == (5, SIZE)


def test_only_objects_of_the_frames_read_are_decoded(toy):
    broken = {'size': [1, 1], 'counts': [1]}
    dataset = YouTubeVISDataset(
        **toy(lambda c: c['annotations'][0]['segmentations'].__setitem__(2, broken))
    )
    assert dataset.load_frames(0, [0, 1])['object_ids'].tolist() == [31]
    with pytest.raises(UserError, match=r'train\.json: annotation 31, frame 2: expected'):
        dataset.load_frames(0, [2])


def test_empty_videos_are_left_out_in_training_only(toy):
    arguments = toy()
    assert len(YouTubeVISDataset(**arguments)) == 1
    assert len(YouTubeVISDataset(**arguments, filter_empty=False)) == 2
    dataset = YouTubeVISDataset(**arguments, test_mode=True)
    assert dataset[1]['masks'].shape == (0, 4, 40, 50)


def test_chosen_classes_keep_their_order(toy):
    dataset = YouTubeVISDataset(**toy(), classes=['snake'])
    assert dataset.metainfo['classes'] == ('snake',)
    assert dataset.load(0)['object_ids'].tolist() == [31]


@pytest.mark.parametrize(
    'change', [lambda c: c.pop('annotations'), lambda c: c.update(annotations=None)]
)
def test_a_published_test_file_has_no_annotations(toy, change):
    dataset = YouTubeVISDataset(**toy(change), test_mode=True)
    assert len(dataset) == 2
    assert len(dataset[0]['labels']) == 0


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda c: c.pop('videos'), "'videos' in the file"),
        (lambda c: c['videos'][0].pop('width'), "'width' in video 5"),
        (lambda c: c['videos'][1].update(id=5), "every id in 'videos' once, got 5"),
        (lambda c: c['videos'][1].update(file_names=[]), 'frames of video 6, got no file_names'),
        (lambda c: c['annotations'][0].pop('segmentations'), "'segmentations' in annotation 31"),
        (lambda c: c['annotations'][0].update(video_id=7), 'video_id of annotation 31 .* got 7'),
        (
            lambda c: c['annotations'][0].update(category_id=7),
            'category_id of annotation 31 .*got 7',
        ),
        (lambda c: c['annotations'][0]['segmentations'].pop(), '31 to have .* 4 frames, got 3'),
        (lambda c: c.update(annotations=[]), 'expected videos with at least 2 frames'),
    ],
)
def test_broken_annotation_files_are_named(toy, change, message):
    with pytest.raises(UserError, match=rf'train\.json: .*{message}'):
        YouTubeVISDataset(**toy(change))


def test_frames_of_another_size_are_named(toy, tmp_path):
    dataset = YouTubeVISDataset(**toy())
    for t in range(4):
        Image.new('RGB', (8, 6)).save(tmp_path / f'JPEGImages/one/{t:05d}.jpg')
    with pytest.raises(UserError, match=r'00000\.jpg: expected height x width 40 x 50 .* 6 x 8'):
        dataset.load(0)
