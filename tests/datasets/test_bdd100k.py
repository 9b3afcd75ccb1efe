import numpy as np
import pytest
from PIL import Image

from seg.datasets import BDD100KDataset
from seg.registry import DATASETS
from seg.utils.checks import UserError

MASK = 'labels/sem_seg/masks/train/train-000000.png'
COLORS = 'labels/sem_seg/colormaps/train/train-000000.png'


@pytest.fixture
def root(small):
    return small('bdd100k')


def build(root, **settings):
    return BDD100KDataset(root, 'train', 'panoptic', [], **settings)


def write_values(root, values):
    Image.fromarray(np.resize(values, (48, 64)).astype(np.uint8)).save(root / MASK)


def test_classes_are_stuff_in_the_order_of_train_ids(root):
    settings = dict(root=root, split='train', task='panoptic', pipeline=[])
    metainfo = DATASETS.build(dict(type='BDD100KDataset', **settings)).metainfo
    assert (len(metainfo['classes']), metainfo['num_things']) == (19, 0)
    assert metainfo['classes'][0] == 'road'


def test_ignored_pixels_belong_to_no_segment(root):
    write_values(root, [255, 0, 18, 255])
    sample = build(root)[0]
    assert sample['labels'].tolist() == [0, 18]
    assert int(sample['masks'].sum()) == 48 * 64 // 2
    assert sample['img_id'] == 'train-000000'


def test_black_is_ignored_in_colour_maps(root):
    picture = np.zeros((48, 64, 3), dtype=np.uint8)
    picture[:10] = (128, 64, 128)
    Image.fromarray(picture).convert('RGBA').save(root / COLORS)
    sample = build(root, labels='colormaps')[0]
    assert sample['labels'].tolist() == [0]
    assert int(sample['masks'].sum()) == 640


def test_the_older_names_of_labels_are_read(root):
    (root / MASK).rename(root / MASK.replace('.png', '_train_id.png'))
    assert len(build(root)) == 1
    assert len(build(root)[0]['labels'])


@pytest.mark.parametrize(
    ('damage', 'settings', 'message'),
    [
        (lambda root: write_values(root, [3, 19]), {}, r'classes 0\.\.18 or 255, got \[19\]'),
        (
            lambda root: Image.new('L', (9, 9)).save(root / MASK),
            {},
            r'train-000000\.png: expected height x width 48 x 64 .* 9 x 9',
        ),
        (
            lambda root: Image.new('RGB', (64, 48)).save(root / MASK),
            {},
            'expected a map of ids .* mode RGB',
        ),
        (
            lambda root: Image.new('RGB', (64, 48), (1, 2, 3)).save(root / COLORS),
            {'labels': 'colormaps'},
            r'colours of the 19 classes or black, got \[\(1, 2, 3\)\]',
        ),
        (
            lambda root: (root / 'images/10k/train/train-000000.jpg').write_bytes(b'no'),
            {},
            r'train-000000\.jpg: expected a readable image',
        ),
    ],
)
def test_damaged_files_are_named(root, damage, settings, message):
    damage(root)
    with pytest.raises(UserError, match=message):
        build(root, **settings)[0]


@pytest.mark.parametrize(
    ('damage', 'message'),
    [
        (lambda root: (root / MASK).unlink(), r'train-000000\.png: expected a map for the image'),
        (
            lambda root: (root / 'images/10k/train/train-000000.jpg').unlink(),
            'train: expected images',
        ),
        (
            lambda root: (root / 'labels/sem_seg/masks/train/odd.png').write_bytes(b''),
            r'odd\.png: expected an image of that name',
        ),
        (
            lambda root: (root / 'images/10k/train/train-000000.png').write_bytes(b''),
            r"expected one image named 'train-000000', got several",
        ),
    ],
)
def test_images_and_labels_that_do_not_pair_up_are_named(root, damage, message):
    damage(root)
    with pytest.raises(UserError, match=message):
        build(root)


def test_an_unknown_kind_of_labels_gets_a_suggestion(root):
    with pytest.raises(UserError, match="unknown labels of BDD100K 'mask'"):
        build(root, labels='mask')


def test_a_missing_split_is_named(root):
    with pytest.raises(FileNotFoundError, match='images/10k/test: expected a folder'):
        BDD100KDataset(root, 'test', 'panoptic', [])
