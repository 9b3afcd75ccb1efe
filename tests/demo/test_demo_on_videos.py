"""The demo on videos as a user types it, with what users get wrong."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import seg.apis
from seg.apis import model_entry
from seg.apis.model_zoo import DEFAULT_MODEL
from seg.datasets.shapes import SHAPES_STUFF, SHAPES_THINGS
from seg.testing.fake_segmentor import FakeSegmentor
from seg.testing.tiny_rapsam import model_for_programs, tiny_video_cfg
from seg.utils.cli import run_main
from seg.visualization.video_writer import VideoWriter, write_id_map

SCRIPT = Path(__file__).parents[2] / 'demo' / 'demo.py'
SIZE = (48, 64)
VOS = ('--task', 'vos', '--input', 'clip', '--mask', 'first.png')
CLICK = ('--task', 'interactive_video', '--input', 'clip', '--point', '10,10')


@pytest.fixture(scope='module')
def network():
    model = model_for_programs(tiny_video_cfg(panoptic_tracker=dict(type='PanopticTracker')))
    model.dataset_meta = {'classes': SHAPES_THINGS + SHAPES_STUFF, 'num_things': 8}
    return model


@pytest.fixture
def demo(monkeypatch, tmp_path, capsys, network):
    """Call the demo with arguments: exit code, standard output, standard error."""
    spec = importlib.util.spec_from_file_location('demo_script', SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def load(name, checkpoint, device):
        if checkpoint is None:
            classes = SHAPES_THINGS + SHAPES_STUFF
            return FakeSegmentor(entry=model_entry(name), classes=classes)
        return network

    monkeypatch.setattr(seg.apis, 'load_model', load)
    monkeypatch.chdir(tmp_path)

    def call(*arguments, embedded=False):
        own = () if embedded else ('--config', 'c.py', '--checkpoint', 'w.pth')
        monkeypatch.setattr(sys, 'argv', ['demo.py', *own, *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            run_main(module.main)
        return stopped.value.code, *capsys.readouterr()

    return call


@pytest.fixture(autouse=True)
def clip(tmp_path):
    """A folder of three frames and a map with the ids 2 and 9, void, and others missing."""
    rng = np.random.default_rng(0)
    where = tmp_path / 'clip'
    where.mkdir()
    for index in range(3):
        image = rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8)
        Image.fromarray(image).save(where / f'{index:05d}.png')
    ids = np.zeros(SIZE, np.int32)
    ids[4:20, 4:20], ids[30:40, 30:50], ids[0, 0] = 2, 9, 255
    write_id_map(tmp_path / 'first.png', ids)
    return where


def test_ids_with_gaps_and_void_are_followed(demo, tmp_path):
    code, out, err = demo(*VOS, '--output', 'out', '--save', 'both')

    assert code == 0, err
    assert 'wrote out/clip.mp4' in out
    maps = sorted((tmp_path / 'out/Annotations/clip').iterdir())
    assert len(maps) == 3
    with Image.open(maps[0]) as first:
        assert set(np.unique(np.asarray(first))) == {0, 2, 9}


def test_backward_covers_all_frames(demo, tmp_path):
    code, _, err = demo(
        *('--task', 'interactive_video', '--input', 'clip', '--frame', 1, '--point', '10,10'),
        *('--backward', '--output', 'out', '--save', 'masks'),
    )

    assert code == 0, err
    names = sorted(path.name for path in (tmp_path / 'out/Annotations/clip').iterdir())
    assert names == ['00000.png', '00001.png', '00002.png']


def test_without_an_input_clips_of_shapes_are_followed(demo, tmp_path):
    code, out, err = demo('--task', 'vos', '--num', 1, '--output', 'out.png')

    assert code == 0, err
    assert 'in 24 frames' in out
    with Image.open(tmp_path / 'out.png') as strip:
        assert strip.width > 2 * strip.height


@pytest.mark.parametrize('arguments', [VOS, ('--task', 'vos'), CLICK])
def test_a_model_without_memory_says_what_to_do(demo, arguments, tmp_path):
    code, _, err = demo(*arguments, '--output', 'out', embedded=True)

    assert code == 2
    assert f'expected one with a streaming memory, got {DEFAULT_MODEL} without' in err
    assert '--config and --checkpoint' in err
    assert not (tmp_path / 'out').exists()


def other_size(tmp_path):
    write_id_map(tmp_path / 'first.png', np.ones((20, 20), np.int32))


def void_alone(tmp_path):
    write_id_map(tmp_path / 'first.png', np.full(SIZE, 255, np.int32))


def coloured(tmp_path):
    noise = np.random.default_rng(1).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / 'first.png')


def corrupt(tmp_path):
    (tmp_path / 'clip/00001.png').write_bytes(b'no picture')


def grown(tmp_path):
    Image.fromarray(np.zeros((60, 70, 3), np.uint8)).save(tmp_path / 'clip/00001.png')


def emptied(tmp_path):
    for path in (tmp_path / 'clip').iterdir():
        path.unlink()


def no_bytes(tmp_path):
    (tmp_path / 'a.mp4').write_bytes(b'')


def cut_short(tmp_path):
    with VideoWriter(tmp_path / 'whole.mp4', frames_per_second=10) as writer:
        for _ in range(3):
            writer.write(np.zeros((*SIZE, 3), np.uint8))
    (tmp_path / 'a.mp4').write_bytes((tmp_path / 'whole.mp4').read_bytes()[:200])


def nothing(tmp_path):
    pass


AS_FILE = ('--task', 'interactive_video', '--input', 'a.mp4', '--point', '10,10')
MISTAKES = {
    'a mask of another size': (other_size, VOS, 'size'),
    'a mask without ids': (void_alone, VOS, 'first.png: mask: expected the ids of objects'),
    'a coloured mask': (coloured, VOS, 'first.png'),
    'no mask file': (nothing, (*VOS[:-1], 'absent.png'), 'absent.png'),
    'two masks': (nothing, (*VOS, '--mask', 'first.png'), 'expected one --mask FILE'),
    'a corrupt frame': (corrupt, VOS, 'frame 1: '),
    'a frame of another size': (grown, VOS, 'frame 1: expected 64 x 48 pixels'),
    'the same, panoptic': (
        grown,
        ('--task', 'panoptic', '--input', 'clip', '--as-video'),
        'frame 1: expected 64 x 48 pixels',
    ),
    'no frames': (emptied, VOS, 'expected a folder of frames'),
    'no bytes': (no_bytes, AS_FILE, 'a file of 0 bytes'),
    'a cut file': (cut_short, AS_FILE, 'a.mp4: expected a video'),
    'no file': (nothing, AS_FILE, 'a.mp4'),
    'no prompt': (nothing, CLICK[:4], 'expected some for the task interactive_video'),
    'a point outside': (nothing, (*CLICK[:4], '--point', '99,10'), 'inside the image'),
    'a frame after the last': (
        nothing,
        (*CLICK[:4], '--frame', '7', '--point', '9,9'),
        'frame 7: expected prompts on the frames of clip, 0 to 2',
    ),
    'a frame before the first': (
        nothing,
        (*CLICK[:4], '--frame', '-1', '--point', '9,9'),
        'frame',
    ),
    'an image task': (
        nothing,
        ('--task', 'interactive_image', '--input', 'clip', '--as-video', '--point', '9,9'),
        'task: expected panoptic, vos or interactive_video',
    ),
    'an output of another kind': (nothing, (*VOS, '--output', 'a.avi'), 'a folder or a file named'),
}


@pytest.mark.parametrize('name', MISTAKES)
def test_mistakes_are_one_line_and_leave_no_video(demo, name, tmp_path):
    spoil, arguments, message = MISTAKES[name]
    spoil(tmp_path)
    code, _, err = demo('--output', 'out.mp4', *arguments)

    errors = [line for line in err.splitlines() if line.startswith('error: ')]
    assert code == 2
    assert len(errors) == 1
    assert message in errors[0]
    assert 'Traceback' not in err
    assert not list(tmp_path.glob('out*'))


@pytest.mark.parametrize('spoil', [corrupt])
def test_bad_frames_are_skipped_on_request(demo, spoil, tmp_path):
    spoil(tmp_path)
    code, _, err = demo(*VOS, '--skip-bad-frames', '--output', 'out', '--save', 'masks')

    assert code == 0, err
    names = sorted(path.name for path in (tmp_path / 'out/Annotations/clip').iterdir())
    assert names == ['00000.png', '00002.png']
