import cv2
import numpy as np
import pytest

from seg.datasets.imaging import read_image
from seg.utils.checks import UserError
from seg.visualization import write_picture


def test_png_keeps_every_pixel(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    path = write_picture(tmp_path / 'new' / 'a.png', image)
    assert (read_image(path) == image).all()


def test_an_unknown_format_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r'ending in .png'):
        write_picture(tmp_path / 'a.txt', np.zeros((2, 2, 3), np.uint8))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(('suffix', 'width'), [('.jpg', 65536), ('.JPEG', 65501), ('.webp', 16384)])
def test_an_image_too_large_for_its_format_is_refused(tmp_path, suffix, width):
    image = np.zeros((1, width, 3), np.uint8)
    with pytest.raises(UserError, match=rf'pixels a side .* got 1x{width}; write it as \.png'):
        write_picture(tmp_path / f'a{suffix}', image)
    assert not list(tmp_path.iterdir())
    assert read_image(write_picture(tmp_path / 'a.png', image)).shape == (1, width, 3)


@pytest.mark.parametrize('refuses', [True, False])
def test_what_opencv_cannot_encode_is_named(tmp_path, monkeypatch, refuses):
    def imencode(suffix, image):
        if refuses:
            raise cv2.error('too large')
        return False, None

    monkeypatch.setattr('seg.visualization.picture_file.cv2.imencode', imencode)
    with pytest.raises(UserError, match=r'a\.png: expected an image that OpenCV can write'):
        write_picture(tmp_path / 'a.png', np.zeros((2, 2, 3), np.uint8))
    assert not list(tmp_path.iterdir())
