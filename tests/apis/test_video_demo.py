"""The demo on videos: what is asked for, and what is written."""

import numpy as np
import pytest
import torch
from PIL import Image

from seg.apis.flag_prompts import read_prompt_flags
from seg.apis.video_demo import VideoRequest, read_video_prompts, run_video_demo
from seg.apis.video_sources import open_video
from seg.datasets.imaging import read_id_map
from seg.structures import PanopticData, Segment, Task
from seg.testing.tiny_rapsam import model_for_programs, tiny_video_cfg
from seg.utils.checks import UserError
from seg.visualization.video_writer import (
    VideoWriter,
    fits_palette,
    write_id_map,
    write_wide_id_map,
)

SIZE = (48, 64)


@pytest.fixture(scope='module')
def model():
    return model_for_programs(tiny_video_cfg(panoptic_tracker=dict(type='PanopticTracker')))


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    where = tmp_path / 'clip'
    where.mkdir()
    for index in range(3):
        image = rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8)
        Image.fromarray(image).save(where / f'{index + 5:05d}.jpg')
    ids = np.zeros(SIZE, np.int32)
    ids[4:20, 4:20], ids[30:40, 30:50], ids[0, 0] = 2, 9, 255
    write_id_map(tmp_path / 'first.png', ids)
    return where


def test_vos_writes_a_video_and_maps_in_the_layout_of_davis(model, folder, tmp_path):
    prompts = read_video_prompts(Task.VOS, [('mask', str(tmp_path / 'first.png'))])
    assert prompts.object_ids.tolist() == [2, 9]
    output = tmp_path / 'out' / 'a.mp4'
    written = run_video_demo(model, VideoRequest(folder, Task.VOS, prompts, output, 'both'))

    assert written == [output, tmp_path / 'out' / 'Annotations' / 'clip']
    assert sorted(p.name for p in written[1].iterdir()) == ['00005.png', '00006.png', '00007.png']
    with Image.open(written[1] / '00005.png') as picture:
        assert picture.mode == 'P'
        assert picture.getpalette()[:6] == [0, 0, 0, 128, 0, 0]
        first = np.asarray(picture)
    assert set(np.unique(first)) == {0, 2, 9}
    frames = [read.image for read in open_video(output).forwards()]
    assert [frame.shape for frame in frames] == [(*SIZE, 3)] * 3


def test_interactive_video_with_prompts_on_several_frames(model, folder, tmp_path):
    flags = [('point', '10,10'), ('box', '30,10,60,40'), ('frame', 1), ('point', '12,12,0')]
    prompts = read_video_prompts(Task.INTERACTIVE_VIDEO, flags)

    assert prompts.object_ids.tolist() == [1, 2, 1]
    assert prompts.frame_index.tolist() == [0, 0, 1]
    request = VideoRequest(folder, Task.INTERACTIVE_VIDEO, prompts, tmp_path / 'out')
    assert run_video_demo(model, request) == [tmp_path / 'out' / 'clip.mp4']


def test_panoptic_on_video(model, folder, tmp_path):
    request = VideoRequest(folder, Task.PANOPTIC, None, tmp_path / 'out', 'both')
    video, maps = run_video_demo(model, request)

    assert video.is_file()
    assert len(list(maps.iterdir())) == 3


def test_no_half_written_video_is_left(model, folder, tmp_path):
    (folder / '00006.jpg').write_bytes(b'no picture')
    prompts = read_prompt_flags([('point', '10,10')])
    output = tmp_path / 'out.mp4'
    with pytest.raises(UserError, match='frame 1: '):
        run_video_demo(model, VideoRequest(folder, Task.INTERACTIVE_VIDEO, prompts, output))

    assert not list(tmp_path.glob('*.mp4'))


@pytest.mark.parametrize(
    ('task', 'flags', 'message'),
    [
        (Task.VOS, [], 'expected one --mask FILE'),
        (Task.VOS, [('point', '1,1')], 'expected one --mask FILE'),
        (Task.INTERACTIVE_VIDEO, [], 'add --point x,y'),
        (Task.INTERACTIVE_VIDEO, [('frame', -1), ('point', '1,1')], 'frame -1'),
        (Task.PANOPTIC, [('point', '1,1')], 'expected none for the task panoptic'),
    ],
)
def test_wrong_requests(task, flags, message):
    with pytest.raises(UserError, match=message):
        read_video_prompts(task, flags)


def test_a_video_that_is_none(tmp_path):
    (tmp_path / 'a.mp4').write_bytes(b'text')
    with pytest.raises(UserError, match=r'a\.mp4: expected a video that FFmpeg can read'):
        open_video(tmp_path / 'a.mp4')


@pytest.mark.parametrize('name', ['a.avi', 'a'])
def test_videos_are_mp4(tmp_path, name):
    with pytest.raises(UserError, match='mp4'):
        VideoWriter(tmp_path / name)


def test_maps_of_many_segments_have_16_bits(tmp_path):
    id_map = torch.tensor([[0, 300], [65535, 1]]).numpy()

    assert np.array_equal(read_id_map(write_wide_id_map(tmp_path / 'a.png', id_map)), id_map)
    assert not fits_palette(id_map)
    with pytest.raises(UserError, match='ids 0 to 65535'):
        write_wide_id_map(tmp_path / 'b.png', id_map + 1)


def test_a_long_panoptic_video_has_maps_to_the_end(model, folder, tmp_path, monkeypatch):
    """Segments of a video are numbered on and on."""
    monkeypatch.setattr(
        'seg.apis.video_demo.PanopticFollower.step', lambda *_: many_segments(), raising=True
    )
    run_video_demo(model, VideoRequest(folder, Task.PANOPTIC, None, tmp_path / 'out', save='masks'))
    (path, *_) = sorted((tmp_path / 'out').rglob('*.png'))

    assert read_id_map(path).max() == 256


def many_segments():
    """One frame with a segment of number 256."""
    return PanopticData(torch.full((1, 48, 64), 256), [Segment(256, 0, True, 1.0)])


def test_a_palette_holds_no_larger_ids(tmp_path):
    with pytest.raises(UserError, match='ids 0 to 255'):
        write_id_map(tmp_path / 'a.png', torch.full((2, 2), 300).numpy())
