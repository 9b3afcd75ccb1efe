"""Small data sets in COCO's formats, whole, to be damaged by the tests."""

import json

import numpy as np
import pytest
from PIL import Image

from seg.structures.panoptic_ids import encode_panoptic

SIZE = (12, 20)


class ToyFiles:
    """Files of four images, and their annotation file as it will be written."""

    def __init__(self, root):
        self.root = root
        self.ann_file = root / 'ann.json'
        self.img_dir, self.seg_dir = root / 'images', root / 'maps'
        self.img_dir.mkdir()
        self.seg_dir.mkdir()
        for number in range(1, 5):
            noise = np.random.default_rng(number).integers(0, 255, (*SIZE, 3), dtype=np.uint8)
            Image.fromarray(noise).save(self.img_dir / f'{number}.png')
            self.write_map(number, self.id_map(number))
        self.content = {
            'images': [
                {'id': n, 'file_name': f'{n}.png', 'height': SIZE[0], 'width': SIZE[1]}
                for n in range(1, 5)
            ],
            'categories': [
                {'id': 7, 'name': 'lawn', 'isthing': 0},
                {'id': 30, 'name': 'cat', 'isthing': 1},
            ],
        }

    def id_map(self, number):
        ids = np.full(SIZE, number, dtype=np.int32)
        ids[:3, :4] = 300 + number
        return ids

    def write_map(self, number, ids):
        Image.fromarray(encode_panoptic(ids)).save(self.seg_dir / f'{number}.png')

    def write(self):
        self.ann_file.write_text(json.dumps(self.content))
        return self

    def truncate(self, path):
        path.write_bytes(path.read_bytes()[:-60])


@pytest.fixture
def panoptic(tmp_path):
    toy = ToyFiles(tmp_path)
    toy.content['annotations'] = [
        {
            'image_id': n,
            'file_name': f'{n}.png',
            'segments_info': [{'id': n, 'category_id': 7}, {'id': 300 + n, 'category_id': 30}],
        }
        for n in range(1, 5)
    ]
    return toy.write()


@pytest.fixture
def instances(tmp_path):
    toy = ToyFiles(tmp_path)
    square = [[2, 2, 8, 2, 8, 8, 2, 8]]
    toy.content['annotations'] = [
        {'id': 10 + n, 'image_id': n, 'category_id': 30, 'segmentation': square}
        for n in range(1, 5)
    ]
    return toy.write()
