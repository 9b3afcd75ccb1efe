import json
import re
import runpy
from argparse import Namespace

import numpy as np
import pytest
import torch
from PIL import Image

from ext.sam import sam_variant
from seg.datasets.shapes import ShapesWorld
from seg.testing.fake_segmentor import FakeSegmentor
from seg.testing.reference_sam import TOY_SAM, reference_sam

CONFIG = """
model = dict(type='SamSegmentor', variant={variant!r})
pipeline = [dict(type='TestResize', scale=(128, 128)), dict(type='PackClip')]
test_dataloader = dict(dataset=dict(type='ShapesDataset', task='interactive_image',
                                    pipeline=pipeline))
val_dataloader = test_dataloader
"""


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    root = tmp_path_factory.mktemp('batch')
    (root / 'photos').mkdir()
    for i in range(2):
        image = ShapesWorld(size=(96, 128)).image(i).clip[0]
        Image.fromarray(image).save(root / 'photos' / f'{i}.jpg')
    (root / 'config.py').write_text(CONFIG.format(variant=TOY_SAM))
    torch.save(reference_sam(sam_variant(TOY_SAM)).state_dict(), root / 'sam.pth')
    boxes = {'0.jpg': [[5, 5, 60, 60], [20, 30, 90, 80]]}
    (root / 'boxes.json').write_text(json.dumps(boxes))
    return root


@pytest.fixture
def run(run_tool, files):
    """Function that runs the tool on the pictures with some flags."""

    def run_on_files(*flags):
        places = (files / 'config.py', files / 'sam.pth', files / 'photos', files / 'out')
        return run_tool('batch_inference', *places, *flags)

    return run_on_files


@pytest.mark.slow
def test_a_folder_is_segmented_once(run, files):
    flags = ('--boxes', str(files / 'boxes.json'), '--min-iou', '0')
    (code, first, errors), (_, second, _) = run(*flags), run(*flags)
    assert code == 0, errors
    expected = {'images': 2, 'done_before': 0, 'annotations': 2}
    assert json.loads(first.splitlines()[-1]) == expected
    assert json.loads(second.splitlines()[-1]) == {**expected, 'done_before': 2}

    content = json.loads((files / 'out/annotations.json').read_text())
    assert [image['file_name'] for image in content['images']] == ['0.jpg', '1.jpg']
    assert {a['image_id'] for a in content['annotations']} == {1}
    assert np.asarray(Image.open(files / 'out/masks/0_jpg.png')).shape == (96, 128)
    assert (files / 'out/overlays/1_jpg.png').is_file()


def test_boxes_of_unknown_images_are_named(run, files):
    (files / 'wrong.json').write_text(json.dumps({'7.jpg': []}))
    code, _, errors = run('--boxes', files / 'wrong.json')
    assert code == 2
    assert "unknown image '7.jpg'" in errors


@pytest.mark.parametrize(
    ('boxes', 'flags', 'unit'),
    [
        ([5, 5, 60, 60], [], 'pixels'),
        ([[60, 5, 5, 60]], [], 'pixels'),
        ([[5, 5, 60, 60]], ['--relative-boxes'], r'shares of the image, in \[0, 1\]'),
    ],
)
def test_wrong_boxes_are_named_with_their_image_before_anything_is_computed(
    run, files, boxes, flags, unit
):
    (files / 'wrong.json').write_text(json.dumps({'0.jpg': boxes}))
    code, _, errors = run('--boxes', files / 'wrong.json', *flags)
    assert code == 2
    assert re.search(rf'expected a list of boxes .* for 0\.jpg, {unit}, with x1 < x2', errors)


def test_relative_boxes_mean_the_same(repository):
    segment = runpy.run_path(str(repository / 'tools/batch_inference.py'))['segment']
    image = ShapesWorld(size=(60, 80)).image(0).clip[0]
    steps = [dict(type='TestResize', scale=(64, 64)), dict(type='PackClip')]
    model = FakeSegmentor(test_pipeline=steps, prompt_kinds=['box'])
    pixels, shares = [[8, 6, 40, 30]], [[0.1, 0.1, 0.5, 0.5]]
    (first,) = segment(
        model, image, pixels, Namespace(min_iou=0.0, relative_boxes=False, phrases=None)
    )
    (second,) = segment(
        model, image, shares, Namespace(min_iou=0.0, relative_boxes=True, phrases=None)
    )
    assert first == second
