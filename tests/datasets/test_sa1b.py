import json

import numpy as np
import pytest

from seg.datasets import SA1BDataset
from seg.registry import DATASETS
from seg.utils.checks import UserError

FILE = 'train/sa_000000/sa_1.json'


@pytest.fixture
def root(small):
    return small('sa1b')


def build(root, **settings):
    return SA1BDataset(root, 'interactive_image', [], **settings)


def change(root, edit):
    content = json.loads((root / FILE).read_bytes())
    edit(content)
    (root / FILE).write_text(json.dumps(content))


def test_folders_of_any_depth_are_read(root):
    settings = dict(root=root, task='interactive_image', pipeline=[])
    dataset = DATASETS.build(dict(type='SA1BDataset', **settings))
    assert len(dataset) == 2
    deeper = root / 'a' / 'b'
    deeper.mkdir(parents=True)
    (root / 'val').rename(deeper / 'val')
    assert len(build(root)) == 2
    assert len(build(root / 'train' / 'sa_000000')) == 1
    assert build(root).metainfo['annotated_classes'] == ()


def test_only_the_chosen_masks_are_decoded(root):
    dataset = build(root, max_segments=2)
    whole = {tuple(mask.flatten().tolist()) for mask in dataset.load(0)['masks']}
    drawn = [dataset.draw(0, np.random.default_rng(seed)) for seed in range(8)]
    assert {len(sample['masks']) for sample in drawn} == {2}
    assert len({tuple(sample['object_ids'].tolist()) for sample in drawn}) > 1
    for sample in drawn:
        assert {tuple(mask.flatten().tolist()) for mask in sample['masks']} <= whole
    assert len(build(root, max_segments=2, test_mode=True)[0]['masks']) == len(whole)


def test_masks_without_a_pixel_are_left_out(root):
    empty = {'size': [48, 64], 'counts': [48 * 64]}
    change(root, lambda c: c['annotations'][0].update(segmentation=empty))
    content = json.loads((root / FILE).read_bytes())
    assert len(build(root)[0]['masks']) == len(content['annotations']) - 1


@pytest.mark.parametrize(
    ('edit', 'message'),
    [
        (lambda c: c.pop('image'), "expected an object 'image' and a list"),
        (lambda c: c['image'].pop('width'), "'width' in 'image'"),
        (lambda c: c.pop('annotations'), "a list of objects 'annotations'"),
        (lambda c: c['annotations'][1].pop('segmentation'), r"'segmentation' in annotations\[1\]"),
        (lambda c: c['annotations'][1].update(id='x'), r"annotations\[1\]: .* 'id', got 'x'"),
        (lambda c: c['image'].update(width=60), r'sa_1\.jpg: .* 48 x 60 as in'),
        (
            lambda c: c['annotations'][1]['segmentation'].update(counts='0'),
            r'sa_1\.json: annotations\[1\]: expected run-length counts',
        ),
        (
            lambda c: c['annotations'][1]['segmentation'].update(size=[64, 48]),
            r'annotations\[1\]: expected a run-length code .* size \[48, 64\]',
        ),
    ],
)
def test_malformed_annotations_are_named(root, edit, message):
    change(root, edit)
    with pytest.raises(UserError, match=message):
        build(root)[0]


def test_files_that_are_no_json_are_named(root):
    (root / FILE).write_text('{"image": ')
    with pytest.raises(UserError, match=r'sa_1\.json: expected the JSON'):
        build(root)[0]
    (root / FILE).write_text('[]')
    with pytest.raises(UserError, match=r"sa_1\.json: expected an object 'image'"):
        build(root)[0]


def test_one_damaged_file_can_be_skipped(root):
    (root / FILE).write_text('')
    dataset = build(root, max_bad_samples=1)
    assert dataset[0]['sample_index'] == 1
    assert len(dataset.bad_samples) == 1


@pytest.mark.parametrize('missing', ['.json', '.jpg'])
def test_files_without_their_twin_are_named(root, missing):
    (root / FILE).with_suffix(missing).unlink()
    with pytest.raises(UserError, match=r'sa_1\.(jpg|json): expected its twin'):
        build(root)


def test_empty_folders_and_odd_numbers(root, tmp_path):
    (tmp_path / 'empty').mkdir()
    with pytest.raises(UserError, match=r'empty: expected sa_\*\.jpg beside sa_\*\.json'):
        build(tmp_path / 'empty')
    with pytest.raises(UserError, match='max_segments: expected 1 or more, got 0'):
        build(root, max_segments=0)
