import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from ext.sam import sam_variant
from seg.datasets.shapes import ShapesWorld
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


def run(repository, root, *extra):
    command = [sys.executable, 'tools/batch_inference.py', root / 'config.py', root / 'sam.pth']
    environment = {**os.environ, 'PYTHONPATH': str(repository)}
    return subprocess.run(
        [*map(str, command), str(root / 'photos'), str(root / 'out'), *extra],
        cwd=repository,
        check=False,
        capture_output=True,
        text=True,
        env=environment,
    )


@pytest.mark.slow
def test_a_folder_is_segmented_once(repository, files):
    flags = ('--boxes', str(files / 'boxes.json'), '--min-iou', '0')
    first, second = run(repository, files, *flags), run(repository, files, *flags)
    assert first.returncode == 0, first.stderr
    expected = {'images': 2, 'done_before': 0, 'annotations': 2}
    assert json.loads(first.stdout.splitlines()[-1]) == expected
    assert json.loads(second.stdout.splitlines()[-1]) == {**expected, 'done_before': 2}

    content = json.loads((files / 'out/annotations.json').read_text())
    assert [image['file_name'] for image in content['images']] == ['0.jpg', '1.jpg']
    assert {a['image_id'] for a in content['annotations']} == {1}
    assert np.asarray(Image.open(files / 'out/masks/0_jpg.png')).shape == (96, 128)
    assert (files / 'out/overlays/1_jpg.png').is_file()


def test_boxes_of_unknown_images_are_named(repository, files):
    (files / 'wrong.json').write_text(json.dumps({'7.jpg': []}))
    done = run(repository, files, '--boxes', str(files / 'wrong.json'))
    assert done.returncode == 2
    assert "unknown image '7.jpg'" in done.stderr
