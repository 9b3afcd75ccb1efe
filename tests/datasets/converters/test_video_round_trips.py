import numpy as np
import pytest

from seg.datasets import DavisDataset, VIPSegDataset, YouTubeVISDataset
from seg.datasets.converters import WRITERS
from seg.datasets.shapes import SHAPES_THINGS

FRAMES = 4
SPLITS = {'train': 'train', 'val': 'valid'}


@pytest.mark.parametrize('split', ['train', 'val'])
def test_davis_comes_back_without_classes(written, original, same, split):
    dataset = DavisDataset(written('davis'), split, 'vos', [], test_mode=True)
    expected = original(split, FRAMES)
    assert len(dataset) == len(expected)
    for index in range(len(dataset)):
        sample = expected.load(index)
        things = sample['labels'] < len(SHAPES_THINGS)
        same(dataset.load(index), sample, things, labels=[-1] * int(things.sum()))


@pytest.mark.parametrize('split', ['train', 'val'])
def test_youtube_vis_comes_back(written, original, same, split):
    root = written('youtube_vis')
    part = SPLITS[split]
    dataset = YouTubeVISDataset(
        root / f'{part}.json', root / part / 'JPEGImages', 'panoptic', [], test_mode=True
    )
    assert dataset.metainfo['classes'] == SHAPES_THINGS
    assert dataset.metainfo['num_things'] == len(SHAPES_THINGS)
    for index in range(len(dataset)):
        sample = original(split, FRAMES).load(index)
        things = sample['labels'] < len(SHAPES_THINGS)
        ids = (1000 * (index + 1) + sample['object_ids'][things]).tolist()
        same(dataset.load(index), sample, things, ids=ids)


@pytest.mark.parametrize('split', ['train', 'val'])
def test_vipseg_comes_back_under_classes_of_its_own(written, original, same, split):
    dataset = VIPSegDataset(written('vipseg'), split, 'panoptic', [], test_mode=True)
    classes, names = list(dataset.metainfo['classes']), WRITERS['vipseg'].classes
    assert len(set(names)) == len(names)
    for index in range(len(dataset)):
        sample, found = original(split, FRAMES).load(index), dataset.load(index)
        labels = [classes.index(names[label]) for label in sample['labels'].tolist()]
        ids = [
            object_id + 100 * dataset.metainfo['category_ids'][label]
            if label < dataset.metainfo['num_things']
            else dataset.metainfo['category_ids'][label]
            for label, object_id in zip(labels, sample['object_ids'].tolist(), strict=True)
        ]
        order = np.argsort(ids)
        for key in ('masks', 'labels', 'object_ids'):
            sample[key] = sample[key][order]
        ordered = [labels[row] for row in order], [ids[row] for row in order]
        same(found, sample, slice(None), labels=ordered[0], ids=ordered[1])


@pytest.mark.parametrize('layout', ['davis', 'youtube_vis'])
def test_some_frames_of_a_video_are_the_same_as_in_all_of_it(written, layout):
    root = written(layout)
    if layout == 'davis':
        dataset = DavisDataset(root, 'train', 'vos', [])
    else:
        dataset = YouTubeVISDataset(root / 'train.json', root / 'train/JPEGImages', 'panoptic', [])
    whole, part = dataset.load(1), dataset.load_frames(1, [3, 1])
    assert part['frame_ids'] == (3, 1)
    assert [path[-9:] for path in part['img_paths']] == ['00003.jpg', '00001.jpg']
    assert bool((part['clip'] == whole['clip'][[3, 1]]).all())
    for row, object_id in enumerate(part['object_ids'].tolist()):
        (place,) = np.flatnonzero(whole['object_ids'] == object_id)
        assert bool((part['masks'][row] == whole['masks'][place][[3, 1]]).all())
        assert bool(part['masks'][row].any())
