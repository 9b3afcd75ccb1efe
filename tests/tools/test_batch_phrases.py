"""A folder times phrases, by the command and by a program."""

import importlib.util
import json

import numpy as np
import pytest
import torch
from PIL import Image

from seg.apis import ImagePredictor, load_model
from seg.datasets.shapes import ShapesWorld
from seg.models.detectors import Sam3Segmentor
from seg.utils.checks import UserError
from seg.visualization import SegmentVisualizer

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec('transformers') is None, reason='needs transformers'
)
CONFIG = """
model = dict(type='Sam3Segmentor', variant='tiny', score_threshold=0.0)
pipeline = [
    dict(type='ConceptPhrases', phrases=['disc', 'star']),
    dict(type='TestResize', scale=(64, 64), keep_ratio=False),
    dict(type='PackClip'),
]
test_dataloader = dict(dataset=dict(type='ShapesDataset', task='interactive_image',
                                    pipeline=pipeline))
val_dataloader = test_dataloader
"""


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    root = tmp_path_factory.mktemp('phrases')
    (root / 'photos').mkdir()
    image = ShapesWorld(size=(96, 128)).image(0).clip[0]
    Image.fromarray(image).save(root / 'photos' / '0.png')
    (root / 'config.py').write_text(CONFIG)
    torch.manual_seed(0)
    torch.save(Sam3Segmentor('tiny').state_dict(), root / 'sam3.pth')
    return root


def test_a_program_finds_instances(files):
    predictor = ImagePredictor(load_model(files / 'config.py', files / 'sam3.pth', 'cpu'))
    predictor.set_image(files / 'photos/0.png')
    found = predictor.find(['disc', 'big red star'])

    assert found.masks.shape[1:] == (96, 128)
    assert found.masks.dtype == np.bool_
    assert len(found.masks) == len(found.scores) == len(found.boxes) == 16
    assert set(found.rows.tolist()) == {0, 1}
    with pytest.raises(UserError, match='clicks are for its tracker'):
        predictor.predict(points=[[[5, 5]]])


def test_a_folder_times_phrases(run_tool, files, monkeypatch):
    captions = []

    def draw(visualizer, image, layers, *unused):
        captions.extend(layer.caption for layer in layers)
        return image

    monkeypatch.setattr(SegmentVisualizer, 'draw_layers', draw)
    places = (files / 'config.py', files / 'sam3.pth', files / 'photos', files / 'out')
    code, out, errors = run_tool('batch_inference', *places, '--phrases', 'disc', 'star', '--fp16')
    assert code == 0, errors
    content = json.loads((files / 'out/annotations.json').read_text())

    assert json.loads(out.splitlines()[-1])['annotations'] == 16
    assert [c['name'] for c in content['categories']] == ['disc', 'star']
    assert {a['category_id'] for a in content['annotations']} == {1, 2}
    assert all(0 <= a['score'] <= 1 for a in content['annotations'])
    assert {caption.split()[0] for caption in captions} == {'disc', 'star'}
    scores = [annotation['score'] for annotation in content['annotations']]
    least = sorted(scores)[8]
    more = ('--phrases', 'disc', 'star', '--fp16', '--overwrite', '--min-iou', least)
    _, out, _ = run_tool('batch_inference', *places, *more)
    assert json.loads(out.splitlines()[-1])['annotations'] == sum(s >= least for s in scores) < 16
    code, _, errors = run_tool('batch_inference', *places, '--phrases', 'ring')
    assert code == 2
    assert 'use another output folder, or --overwrite' in ' '.join(errors.split())
