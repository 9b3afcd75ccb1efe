import pytest

from seg.datasets import CocoInstanceDataset, CocoPanopticDataset
from seg.datasets.shapes import SHAPES_STUFF, SHAPES_THINGS


@pytest.mark.parametrize('split', ['train', 'val'])
def test_coco_panoptic_comes_back(written, original, same, split):
    root = written('coco_panoptic')
    dataset = CocoPanopticDataset(
        root / f'annotations/panoptic_{split}2017.json',
        root / f'{split}2017',
        root / f'annotations/panoptic_{split}2017',
        'panoptic',
        [],
    )
    expected = original(split)
    assert dataset.metainfo['classes'] == SHAPES_THINGS + SHAPES_STUFF
    assert dataset.metainfo['num_things'] == len(SHAPES_THINGS)
    assert dataset.metainfo['palette'] == expected.metainfo['palette']
    assert len(dataset) == len(expected)
    for index in range(len(dataset)):
        same(dataset.load(index), expected.load(index), slice(None))


@pytest.mark.parametrize('split', ['train', 'val'])
def test_coco_instances_come_back(written, original, same, split):
    root = written('coco_instance')
    dataset = CocoInstanceDataset(
        root / f'annotations/instances_{split}2017.json', root / f'{split}2017', 'panoptic', []
    )
    assert dataset.metainfo['classes'] == SHAPES_THINGS
    for index in range(len(dataset)):
        sample = original(split).load(index)
        same(dataset.load(index), sample, sample['labels'] < len(SHAPES_THINGS))
