import json
import pickle
import pickletools

import numpy as np
import pytest

from seg.datasets import (
    BDD100KDataset,
    CityscapesDataset,
    FolderDataset,
    RefCocoDataset,
    SA1BDataset,
)
from seg.datasets.converters import WRITERS
from seg.datasets.shapes import SHAPES_STUFF, SHAPES_THINGS

NUM_THINGS = len(SHAPES_THINGS)


@pytest.mark.parametrize('split', ['train', 'val'])
def test_cityscapes_comes_back(written, original, same, split):
    root = written('cityscapes')
    dataset = CityscapesDataset(
        root / f'gtFine/cityscapes_panoptic_{split}.json',
        root / f'leftImg8bit/{split}',
        root / f'gtFine/cityscapes_panoptic_{split}',
        'panoptic',
        [],
    )
    assert dataset.metainfo['classes'] == SHAPES_THINGS + SHAPES_STUFF
    assert dataset.metainfo['num_things'] == NUM_THINGS
    for index in range(len(original(split))):
        found, expected = dataset.load(index), original(split).load(index)
        same(found, expected, slice(None))
        assert bool((found['clip'] == expected['clip']).all())  # PNG files


@pytest.mark.parametrize('labels', ['masks', 'colormaps'])
@pytest.mark.parametrize('split', ['train', 'val'])
def test_bdd100k_comes_back_as_one_segment_per_class(written, original, split, labels):
    dataset = BDD100KDataset(written('bdd100k'), split, 'panoptic', [], labels=labels)
    names = WRITERS['bdd100k'].classes
    assert len(set(names)) == len(names)
    for index in range(len(original(split))):
        found, expected = dataset.load(index), original(split).load(index)
        seen = {}
        for mask, label in zip(expected['masks'], expected['labels'].tolist(), strict=True):
            seen[names[label]] = seen.get(names[label], False) | mask
        classes = [dataset.metainfo['classes'][label] for label in found['labels'].tolist()]
        assert set(classes) == set(seen)
        for name, mask in zip(classes, found['masks'], strict=True):
            assert bool((mask == seen[name]).all())
        assert found['object_ids'].tolist() == (found['labels'] + 1).tolist()


@pytest.mark.parametrize('split', ['train', 'val'])
def test_folders_come_back(written, original, same, split):
    dataset = FolderDataset(written('folders'), split, 'interactive_image', [])
    assert len(dataset) == len(original(split))
    for index in range(len(dataset)):
        sample = original(split).load(index)
        things = sample['labels'] < NUM_THINGS
        same(dataset.load(index), sample, things, labels=[0] * int(things.sum()))


@pytest.mark.parametrize('split', ['train', 'val'])
def test_sa1b_comes_back_without_classes(written, original, same, split):
    dataset = SA1BDataset(written('sa1b') / split, 'interactive_image', [])
    assert len(dataset) == len(original(split))
    for index in range(len(dataset)):
        sample = original(split).load(index)
        found = dataset.load(index)
        same(found, sample, slice(None), labels=[-1] * len(sample['labels']))
        assert found['img_id'] == index + 1
    whole = SA1BDataset(written('sa1b'), 'interactive_image', [])
    assert len(whole) == 2 * len(dataset)


@pytest.mark.parametrize('split', ['train', 'val'])
def test_refcoco_comes_back_with_its_texts(written, original, same, split):
    root = written('refcoco')
    dataset = RefCocoDataset(
        root / 'refs(unc).p',
        root / 'instances.json',
        root / 'train2014',
        split,
        'interactive_image',
        [],
    )
    assert dataset.metainfo['classes'] == SHAPES_THINGS
    annotations = json.loads((root / 'instances.json').read_bytes())['annotations']
    texts = 0
    for index in range(len(dataset)):
        sample, found = original(split).load(index), dataset.load(index)
        named = [row for row, text in enumerate(sample['expressions']) if text is not None]
        of_image = [row['id'] for row in annotations if row['image_id'] == found['img_id']]
        same(found, sample, named, ids=[of_image[row] for row in named])
        assert found['expressions'] == [sample['expressions'][row] for row in named]
        texts += len(named)
    assert texts > 0


def test_refs_are_pickled_as_plain_data(written):
    data = (written('refcoco') / 'refs(unc).p').read_bytes()
    names = {opcode.name for opcode, _, _ in pickletools.genops(data)}
    assert not names & {'GLOBAL', 'STACK_GLOBAL', 'REDUCE', 'BUILD', 'INST', 'OBJ'}
    refs = pickle.loads(data)
    assert np.unique([ref['ref_id'] for ref in refs]).size == len(refs)
