import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from seg.datasets.imaging import read_image
from seg.utils.checks import UserError

RGB = np.random.default_rng(0).integers(0, 256, (7, 9, 3), dtype=np.uint8)


def save(path, image, **options):
    image.save(path, **options)
    return path


def test_png_is_read_exactly(tmp_path):
    path = save(tmp_path / 'a.png', Image.fromarray(RGB))
    image = read_image(path)
    assert image.dtype == np.uint8
    assert image.flags.writeable
    np.testing.assert_array_equal(image, RGB)
    np.testing.assert_array_equal(read_image(str(path)), RGB)


def test_grey_is_repeated(tmp_path):
    path = save(tmp_path / 'a.png', Image.fromarray(RGB[..., 0]))
    np.testing.assert_array_equal(read_image(path), np.repeat(RGB[..., :1], 3, axis=-1))


def test_sixteen_bits_are_scaled_by_their_full_range(tmp_path):
    values = np.array([[0, 257, 1000, 65535, 32768]], dtype=np.uint16)
    path = save(tmp_path / 'a.png', Image.fromarray(values))
    assert read_image(path)[0, :, 0].tolist() == [0, 1, 4, 255, 128]


def test_transparent_pixels_are_white(tmp_path):
    alpha = np.full((7, 9, 1), 255, dtype=np.uint8)
    alpha[0] = 0
    path = save(tmp_path / 'a.png', Image.fromarray(np.concatenate([RGB, alpha], axis=-1)))
    image = read_image(path)
    assert (image[0] == 255).all()
    np.testing.assert_array_equal(image[1:], RGB[1:])


@pytest.mark.parametrize('transparency', [None, 1])
def test_palettes_are_looked_up(tmp_path, transparency):
    image = Image.fromarray(np.array([[0, 1], [1, 0]], dtype=np.uint8)).convert('P')
    image.putpalette([10, 20, 30, 40, 50, 60])
    options = {} if transparency is None else {'transparency': transparency}
    got = read_image(save(tmp_path / 'a.png', image, **options))
    assert got[0, 0].tolist() == [10, 20, 30]
    assert got[0, 1].tolist() == ([40, 50, 60] if transparency is None else [255, 255, 255])


def test_one_bit_and_cmyk(tmp_path):
    bits = Image.fromarray(RGB[..., 0] > 127)
    np.testing.assert_array_equal(
        read_image(save(tmp_path / 'a.png', bits))[..., 0], (RGB[..., 0] > 127) * 255
    )
    red = Image.new('RGB', (16, 16), (200, 30, 30)).convert('CMYK')
    got = read_image(save(tmp_path / 'a.jpg', red)).reshape(-1, 3).mean(axis=0)
    assert np.abs(got - [200, 30, 30]).max() < 10


def test_exif_rotation_is_applied_only_on_request(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to view
    path = save(tmp_path / 'a.png', Image.fromarray(RGB), exif=exif)
    np.testing.assert_array_equal(read_image(path), RGB)
    np.testing.assert_array_equal(read_image(path, exif=True), np.rot90(RGB, -1))


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'nowhere\.jpg: expected an image file'):
        read_image(tmp_path / 'nowhere.jpg')
    with pytest.raises(UserError, match='got a folder'):
        read_image(tmp_path)


def test_empty_and_foreign_files(tmp_path):
    (tmp_path / 'empty.jpg').touch()
    with pytest.raises(UserError, match=r'empty\.jpg: .* 0 bytes'):
        read_image(tmp_path / 'empty.jpg')
    (tmp_path / 'text.png').write_text('no image')
    with pytest.raises(UserError, match=r'text\.png: expected a readable image'):
        read_image(tmp_path / 'text.png')


@pytest.mark.parametrize('kind', ['JPEG', 'PNG', 'BMP', 'WEBP'])
@pytest.mark.parametrize('share', [0.3, 0.9])
def test_truncated_files(tmp_path, kind, share):
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(buffer, kind)
    content = buffer.getvalue()
    path = tmp_path / 'cut.img'
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(UserError, match=r'cut\.img: expected a readable image') as caught:
        read_image(path)
    assert '\n' not in str(caught.value)


def png_header_of(width, height):
    def chunk(name, data):
        body = name + data
        return struct.pack('>I', len(data)) + body + struct.pack('>I', zlib.crc32(body))

    header = chunk(b'IHDR', struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0))
    return b'\x89PNG\r\n\x1a\n' + header + chunk(b'IDAT', zlib.compress(b'')) + chunk(b'IEND', b'')


@pytest.mark.filterwarnings('ignore::PIL.Image.DecompressionBombWarning')
def test_decompression_bombs_are_refused_before_decoding(tmp_path):
    path = tmp_path / 'bomb.png'
    for side in (13_400, 60_000):
        path.write_bytes(png_header_of(side, side))
        with pytest.raises(UserError, match=r'bomb\.png: expected at most \d+ pixels'):
            read_image(path)
    save(path, Image.fromarray(RGB))
    with pytest.raises(UserError, match='expected at most 50 pixels, got 9 x 7'):
        read_image(path, max_pixels=50)


def test_floating_point_images_are_refused(tmp_path):
    path = save(tmp_path / 'a.tiff', Image.fromarray(np.ones((2, 2), dtype=np.float32)))
    with pytest.raises(UserError, match='got floating-point pixels'):
        read_image(path)
