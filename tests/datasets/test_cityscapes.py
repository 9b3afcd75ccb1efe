import json

import pytest

from seg.datasets import CityscapesDataset
from seg.registry import DATASETS
from seg.utils.checks import UserError


@pytest.fixture
def root(small):
    return small('cityscapes')


def arguments(root):
    return {
        'ann_file': root / 'gtFine/cityscapes_panoptic_train.json',
        'img_dir': root / 'leftImg8bit/train',
        'seg_dir': root / 'gtFine/cityscapes_panoptic_train',
        'task': 'panoptic',
        'pipeline': [],
    }


def test_images_are_found_by_their_ids(root):
    dataset = DATASETS.build({'type': 'CityscapesDataset', **arguments(root)})
    sample = dataset[0]
    assert sample['img_id'] == 'shapestown_000000_000019'
    assert sample['img_path'].endswith('shapestown/shapestown_000000_000019_leftImg8bit.png')
    content = json.loads(dataset.ann_file.read_bytes())
    assert not (dataset.img_dir / content['images'][0]['file_name']).exists()


def test_a_missing_image_is_named(root):
    dataset = CityscapesDataset(**arguments(root))
    (next((root / 'leftImg8bit/train/shapestown').iterdir())).unlink()
    with pytest.raises(FileNotFoundError, match=r'_leftImg8bit\.png: .*cityscapes_panoptic_train'):
        dataset[0]


def test_ids_without_a_city_are_named(root):
    path = arguments(root)['ann_file']
    path.write_text(path.read_text().replace('shapestown_000000_000019', 'image7'))
    dataset = CityscapesDataset(**arguments(root))
    with pytest.raises(UserError, match=r"panoptic_train\.json: .* got 'image7'"):
        dataset[0]
