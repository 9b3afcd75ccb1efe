import numpy as np
import pytest
from PIL import Image

from seg.datasets import FolderDataset
from seg.registry import DATASETS
from seg.utils.checks import UserError

MASK = 'masks/train/000000.png'


@pytest.fixture
def root(small):
    return small('folders')


def build(root, **settings):
    return FolderDataset(root, 'train', 'interactive_image', [], **settings)


def write_mask(root, values, kind=np.uint8):
    Image.fromarray(np.resize(values, (48, 64)).astype(kind)).save(root / MASK)


def test_every_value_is_an_instance(root):
    settings = dict(root=root, split='train', task='interactive_image', pipeline=[])
    write_mask(root, [0, 3, 700], np.uint16)
    sample = DATASETS.build(dict(type='FolderDataset', **settings))[0]
    assert sample['object_ids'].tolist() == [3, 700]
    assert sample['labels'].tolist() == [0, 0]
    assert sample['masks'].sum(dim=(1, 2, 3)).tolist() == [1024, 1024]


@pytest.mark.parametrize('mask_kind', ['binary', 'instances'])
def test_a_mask_of_0_and_255_is_one_object(root, mask_kind):
    write_mask(root, [0, 255])
    sample = build(root, mask_kind=mask_kind)[0]
    assert sample['masks'].shape == (1, 1, 48, 64)
    assert int(sample['masks'].sum()) == 48 * 32


def test_smooth_borders_of_a_binary_mask_are_cut(root):
    write_mask(root, [0, 127, 128, 255])
    sample = build(root, mask_kind='binary')[0]
    assert sample['object_ids'].tolist() == [1]
    assert int(sample['masks'].sum()) == 48 * 32


@pytest.mark.parametrize('mask_kind', ['binary', 'instances'])
def test_an_image_may_have_no_object(root, mask_kind):
    write_mask(root, [0])
    assert build(root, mask_kind=mask_kind)[0]['masks'].shape == (0, 1, 48, 64)


def test_the_class_can_be_named(root):
    assert build(root, class_name='polyp').metainfo['classes'] == ('polyp',)


@pytest.mark.parametrize('largest', [1, 127, 300])
def test_masks_that_are_not_binary_are_named(root, largest):
    write_mask(root, [0, largest], np.uint16 if largest > 255 else np.uint8)
    with pytest.raises(UserError, match=rf'000000\.png: .* got at most {largest}; .*instances'):
        build(root, mask_kind='binary')[0]


def test_masks_in_colours_are_named(root):
    Image.new('RGB', (64, 48)).save(root / MASK)
    with pytest.raises(UserError, match=r'000000\.png: expected a map of ids .* mode RGB'):
        build(root)[0]


def test_masks_of_another_size_are_named(root):
    Image.new('L', (64, 40)).save(root / MASK)
    with pytest.raises(UserError, match=r'000000\.png: .* 48 x 64 as its image, got 40 x 64'):
        build(root)[0]


def test_an_unknown_kind_gets_a_suggestion(root):
    with pytest.raises(UserError, match=r"unknown mask_kind 'instance'.*'instances'"):
        build(root, mask_kind='instance')


def test_a_changed_folder_is_noticed(root):
    assert len(build(root)) == 1
    for kind, name in (('images', 'x.jpg'), ('masks', 'x.png')):
        Image.new('L', (64, 48)).save(root / kind / 'train' / name)
    assert len(build(root)) == 2
