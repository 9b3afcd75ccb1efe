"""Arrays, files and folders that stand for images."""

import numpy as np
import pytest
from PIL import Image

from seg.apis.image_sources import check_image, list_sources


def test_a_folder_stands_for_its_pictures_in_order(tmp_path):
    for name in ('b.png', 'a.jpg', '.hidden.png', 'notes.txt'):
        Image.new('RGB', (2, 2)).save(tmp_path / name, format='png')
    (tmp_path / 'below').mkdir()
    array = np.zeros((2, 2, 3), dtype=np.uint8)

    found = list_sources([array, tmp_path])
    assert found[0] is array
    assert [path.name for path in found[1:]] == ['a.jpg', 'b.png']


def test_a_folder_without_images_is_named(tmp_path):
    with pytest.raises(ValueError, match='without any'):
        list_sources(tmp_path)


def test_nothing_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='found nothing there'):
        list_sources(tmp_path / 'nowhere')


@pytest.mark.parametrize(
    'image', [[[0]], np.zeros((2, 2)), np.zeros((2, 2, 3)), np.zeros((0, 2, 3), dtype=np.uint8)]
)
def test_what_is_no_picture_is_refused(image):
    with pytest.raises(ValueError, match='uint8'):
        check_image(image)
