"""A folder of images and annotations in the layout of SA-1B."""

import json

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask


def _write_pairs(folder, num, size=(20, 30)):
    """Image ``i`` has the colour (i, 2 i, 0), and one mask of i + 1 pixels in the first row."""
    for index in range(num):
        below = folder / f'part{index % 2}'
        below.mkdir(parents=True, exist_ok=True)
        pixels = np.zeros((*size, 3), np.uint8)
        pixels[..., 0], pixels[..., 1] = index, 2 * index
        Image.fromarray(pixels).save(below / f'sa_{index}.png')
        mask = np.zeros(size, np.uint8, order='F')
        mask[0, : index + 1] = 1
        code = coco_mask.encode(mask)
        code['counts'] = code['counts'].decode()
        annotation = {
            'image': {'image_id': index, 'height': size[0], 'width': size[1]},
            'annotations': [{'id': 7, 'segmentation': code, 'area': index + 1}],
        }
        (below / f'sa_{index}.json').write_text(json.dumps(annotation))


@pytest.fixture
def write_pairs():
    """Function that writes the files."""
    return _write_pairs
