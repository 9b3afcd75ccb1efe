import numpy as np
import pytest

from seg.datasets.imaging import read_image
from seg.visualization import write_picture


def test_png_keeps_every_pixel(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    path = write_picture(tmp_path / 'new' / 'a.png', image)
    assert (read_image(path) == image).all()


def test_an_unknown_format_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r'ending in .png'):
        write_picture(tmp_path / 'a.txt', np.zeros((2, 2, 3), np.uint8))
    assert not list(tmp_path.iterdir())
