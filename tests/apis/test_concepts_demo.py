"""The demo with SAM 3: all instances of what the flags name or show."""

import importlib.util
import runpy
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from seg.apis import load_model
from seg.apis.demo_tasks import DemoRequest, find_demo_task
from seg.engine.config_options import load_config
from seg.structures import Prompts
from seg.testing.concept_samples import write_untrained_sam3
from seg.utils.checks import UserError

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec('transformers') is None, reason='needs transformers'
)


@pytest.fixture(scope='module')
def files(repository, tmp_path_factory):
    """An untrained model that is sure of everything, and a photo."""
    root = tmp_path_factory.mktemp('concepts')
    write_untrained_sam3(repository / 'configs/sam3/sam3_tiny_shapes.py', root)
    pixels = np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(root / 'photo.png')
    return root


@pytest.fixture
def demo(repository, files, monkeypatch, capsys, tmp_path):
    def call(*arguments):
        given = ['--config', files / 'config.py', '--checkpoint', files / 'sam3.pth']
        given += ['--input', files / 'photo.png', '--device', 'cpu', '--output', tmp_path / 'x.png']
        monkeypatch.setattr(sys, 'argv', ['demo.py', *map(str, [*given, *arguments])])
        with pytest.raises(SystemExit) as stop:
            runpy.run_path(str(repository / 'demo/demo.py'), run_name='__main__')
        return stop.value.code, *capsys.readouterr()

    return call


def test_all_instances_are_drawn_with_their_scores(demo, tmp_path):
    code, out, errors = demo('--text', 'red', '--text', 'big blue star', '--box', '5,5,60,40')

    assert code in (0, None), errors
    assert 'concepts: photo: 8 red, 8 big blue star, 8 like the box' in out
    assert np.asarray(Image.open(tmp_path / 'x.png')).std() > 0


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ((), 'expected some for the task concepts, got none; add --text'),
        (('--point', '5,5'), 'clicks are for its tracker'),
        (('--text', ' '), 'expected'),
        (('--box', '500,500,600,540'), 'box'),
    ],
)
def test_mistakes_are_one_line(demo, tmp_path, arguments, message):
    code, _, errors = demo(*arguments)

    assert code == 2
    assert errors.strip().splitlines()[-1].startswith('error: ')
    assert message in errors
    assert 'Traceback' not in errors
    assert not (tmp_path / 'x.png').exists()


def test_the_published_file_holds_the_video_model(files, repository, tmp_path):
    """Its image model is taken out, and no data set has to be there for class names."""
    state = torch.load(files / 'sam3.pth', weights_only=True)
    video = {f'detector_model.{name}': value for name, value in state.items()}
    torch.save({**video, 'tracker_model.a': torch.zeros(1)}, tmp_path / 'video.pth')
    cfg = load_config(repository / 'configs/sam3/sam3_standard_coco.py')
    cfg.model.update(variant='tiny')
    cfg.dump(str(tmp_path / 'coco.py'))
    model = load_model(tmp_path / 'coco.py', tmp_path / 'video.pth', 'cpu')

    for name, value in model.state_dict().items():
        assert torch.equal(value, state[name]), name
    assert model.dataset_meta['classes'] == ('object',)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (None, r'expected a file, found nothing there; .*https://huggingface\.co/facebook/sam3'),
        (b'Access is restricted', r'not a readable.*https://huggingface\.co/facebook/sam3'),
    ],
)
def test_weights_that_are_missing_or_gated(files, tmp_path, content, message):
    path = tmp_path / 'model.safetensors'
    if content is not None:
        path.write_bytes(content)
    with pytest.raises((UserError, FileNotFoundError), match=message):
        load_model(files / 'config.py', path, 'cpu')


def test_weights_of_the_tracker_alone(files, tmp_path):
    torch.save({'tracker_model.a': torch.zeros(1)}, tmp_path / 'tracker.pth')
    with pytest.raises(UserError, match='got the tracker of the video model alone'):
        load_model(files / 'config.py', tmp_path / 'tracker.pth', 'cpu')


def test_least_scores_leave_instances_out(files):
    model = load_model(files / 'config.py', files / 'sam3.pth', 'cpu')
    request = DemoRequest([files / 'photo.png'], Prompts.create(texts=['red']), min_iou_score=1.0)
    (picture,) = find_demo_task('concepts').run(model, request)
    assert picture.summary == '0 red'


def test_other_models_are_refused():
    with pytest.raises(UserError, match=r'finds all instances of a phrase \(SAM 3\)'):
        find_demo_task('concepts').check(None, DemoRequest())
