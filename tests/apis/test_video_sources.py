"""Frames from files, one at a time."""

import struct

import av
import numpy as np
import pytest
from PIL import Image

from seg.apis.video_sources import open_video
from seg.utils.checks import UserError
from seg.visualization.video_writer import VideoWriter

ORIENTATION = 0x0112  # tag of EXIF


def write_video(path, count=40):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 100, (64, 96, 3))
    with VideoWriter(path, frames_per_second=10) as writer:
        for index in range(count):
            image = noise + 100
            image[8:24, index : index + 16] = 250
            writer.write(image.astype(np.uint8))
    return path


def test_a_file_is_read_in_both_directions(tmp_path):
    source = open_video(write_video(tmp_path / 'a.mp4'))
    forwards = list(source.forwards())
    backwards = list(source.backwards(37))

    assert source.num_frames == 40
    assert source.frames_per_second == pytest.approx(10)
    assert [read.index for read in forwards] == list(range(40))
    assert [read.index for read in backwards] == list(range(37, -1, -1))
    for read in backwards:
        assert np.array_equal(read.image, forwards[read.index].image)
    square = (forwards[20].image[16].mean(axis=-1) > 225).nonzero()[0]
    assert 17 <= square.min() <= 23


@pytest.mark.parametrize(
    ('suffix', 'codec'),
    [('avi', 'libx264'), ('avi', 'mpeg4'), ('mpg', 'mpeg2video'), ('mkv', 'libx264')],
)
def test_pictures_that_are_stored_out_of_order(tmp_path, suffix, codec):
    """AVI and MPEG files do not say when a picture is shown, or not in a way to rely on."""
    path = tmp_path / f'a.{suffix}'
    with av.open(str(path), 'w') as container:
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = 96, 64, 'yuv420p'
        stream.gop_size, stream.max_b_frames = 10, 2
        for index in range(40):
            image = np.full((64, 96, 3), 60, np.uint8)
            image[8:24, index : index + 16] = 250
            frame = av.VideoFrame.from_ndarray(image, format='rgb24')
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    source = open_video(path)
    forwards, backwards = list(source.forwards()), list(source.backwards(39))

    assert [read.index for read in forwards] == list(range(40))
    assert [read.index for read in backwards] == list(range(39, -1, -1))
    for index in (0, 3, 9, 21, 39):
        place = (source.read(index).image[16].mean(axis=-1) > 200).nonzero()[0].min()
        assert place == index
    for read in (*backwards, source.read(17)):
        assert np.array_equal(read.image, forwards[read.index].image)


@pytest.mark.parametrize('damaged', [4, 13, 39])
def test_damage_where_frames_are_counted(tmp_path, damaged):
    """No frame more than there are, and both directions agree about which those are."""
    path = tmp_path / 'a.avi'
    with av.open(str(path), 'w') as container:
        stream = container.add_stream('mpeg4', rate=10)
        stream.width, stream.height, stream.pix_fmt = 96, 64, 'yuv420p'
        for index in range(40):
            image = np.full((64, 96, 3), 6 * index, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format='rgb24')))
        container.mux(stream.encode())
    with av.open(str(path)) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    content = bytearray(path.read_bytes())
    place = content.find(packets[damaged])
    content[place : place + len(packets[damaged])] = b'\xff' * len(packets[damaged])
    path.write_bytes(content)
    source = open_video(path)
    forwards, backwards = list(source.forwards()), list(source.backwards(source.num_frames - 1))

    assert [read.index for read in forwards] == list(range(source.num_frames))
    assert [read.index for read in backwards] == list(range(source.num_frames))[::-1]
    assert [read.index for read in forwards if read.image is None] == [damaged]


def test_broken_frames_are_named_and_no_other_is_lost(tmp_path):
    path = write_video(tmp_path / 'a.mp4')
    with av.open(str(path)) as container:
        packets = [(p.pos, p.size, p.pts) for p in container.demux(video=0) if p.size]
    content = bytearray(path.read_bytes())
    place, size, _ = packets[-1]
    content[place : place + size] = b'\xff' * size
    path.write_bytes(content)
    reads = list(open_video(path).forwards())
    broken = [read for read in reads if read.image is None]

    assert [read.index for read in reads] == list(range(40))
    assert 1 <= len(broken) <= 4
    assert f'a.mp4: frame {broken[0].index}: expected a readable frame' in str(broken[0].error)


def test_a_frame_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match='frame 40: expected one of the 40 frames of a'):
        list(open_video(write_video(tmp_path / 'a.mp4')).backwards(40))


def test_an_empty_folder(tmp_path):
    with pytest.raises(UserError, match='expected a folder of frames'):
        open_video(tmp_path)


def test_an_empty_file(tmp_path):
    (tmp_path / 'a.mp4').touch()
    with pytest.raises(UserError, match='0 bytes'):
        open_video(tmp_path / 'a.mp4')


def test_an_iterator_has_no_way_back():
    with pytest.raises(UserError, match='got an iterator'):
        open_video(iter(())).backwards(0)


def test_frames_of_a_folder_come_as_people_count_them(tmp_path):
    for number in (8, 9, 10, 11):
        Image.new('L', (6, 4), number).save(tmp_path / f'img_{number}.png')
    (tmp_path / 'folder.png').mkdir()
    source = open_video(tmp_path)

    assert [int(read.image.max()) for read in source.forwards()] == [8, 9, 10, 11]


def test_frames_that_share_a_stem_have_names_of_their_own(tmp_path):
    for name in ('a.png', 'a.bmp', 'b.png'):
        Image.new('L', (6, 4)).save(tmp_path / name)

    assert [read.name for read in open_video(tmp_path).forwards()] == ['a_bmp', 'a_png', 'b']


def test_frames_of_a_folder_are_turned_as_their_exif_says(tmp_path):
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    Image.new('RGB', (6, 4)).save(tmp_path / '0.jpg', exif=exif)

    assert open_video(tmp_path).read(0).image.shape == (6, 4, 3)


def test_videos_of_phones_are_turned_as_players_turn_them(tmp_path):
    image = np.zeros((64, 96, 3), np.uint8)
    image[:16, :16] = 250  # top left as stored
    with VideoWriter(tmp_path / 'stored.mp4', frames_per_second=10) as writer:
        writer.write(image)
    content = bytearray((tmp_path / 'stored.mp4').read_bytes())
    matrix = content.find(b'tkhd') + 4 + 40
    clockwise = (0, 1 << 16, 0, -(1 << 16), 0, 0, 64 << 16, 0, 1 << 30)
    content[matrix : matrix + 36] = struct.pack('>9i', *clockwise)
    (tmp_path / 'phone.mp4').write_bytes(content)
    turned = open_video(tmp_path / 'phone.mp4').read(0).image

    assert turned.shape == (96, 64, 3)
    assert turned[4:12, -12:-4].min() > 200  # top right as shown
