import numpy as np
import pytest
from PIL import Image

from seg.apis.flag_prompts import read_prompt_flags


@pytest.fixture
def mask_file(tmp_path):
    def write(array):
        path = tmp_path / 'mask.png'
        Image.fromarray(array).save(path)
        return str(path)

    return write


def test_points_without_an_object_belong_together():
    prompts = read_prompt_flags([('point', '1,2'), ('box', '1,1,5,5'), ('point', '3,4,0')])
    assert prompts.object_ids.tolist() == [1, 2]
    assert prompts.point_labels.tolist() == [[1, 0], [-1, -1]]
    assert prompts.has_box.tolist() == [False, True]


def test_each_box_and_text_starts_its_own_object():
    flags = [('box', '1,1,5,5'), ('text', 'a'), ('box', '2,2,6,6'), ('text', 'b')]
    prompts = read_prompt_flags(flags)
    assert prompts.object_ids.tolist() == [1, 2, 3, 4]
    assert prompts.texts == (None, 'a', None, 'b')


def test_an_object_groups_what_follows_until_the_next():
    flags = [('text', 'a'), ('object', 1), ('point', '1,2'), ('text', 'b'), ('box', '1,1,5,5')]
    flags += [('object', 7), ('point', '3,4'), ('object', 1), ('point', '5,6,0')]
    prompts = read_prompt_flags(flags)
    assert prompts.object_ids.tolist() == [2, 1, 7]
    assert prompts.texts == ('a', 'b', None)
    assert prompts.has_box.tolist() == [False, True, False]
    assert prompts.point_labels[1].tolist() == [1, 0]


@pytest.mark.parametrize('bright', [1, 255])
def test_masks_are_what_is_brighter_than_half(mask_file, bright):
    array = np.zeros((6, 8), np.uint8)
    array[2:4, 3:5] = bright
    prompts = read_prompt_flags([('mask', mask_file(array))])
    assert prompts.masks[0].bool().numpy().tolist() == (array > 0).tolist()


def test_what_is_transparent_in_a_mask_is_black(mask_file):
    array = np.zeros((6, 8, 4), np.uint8)
    array[2:4, 3:5] = 255
    prompts = read_prompt_flags([('mask', mask_file(array))])
    assert prompts.masks[0].bool().numpy().tolist() == (array[..., 3] > 0).tolist()


def test_a_mask_is_turned_like_its_picture(tmp_path):
    array = np.zeros((6, 8), np.uint8)
    array[:, :2] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rows are columns
    Image.fromarray(array).save(tmp_path / 'mask.jpg', exif=exif)
    prompts = read_prompt_flags([('mask', str(tmp_path / 'mask.jpg'))])
    assert prompts.masks.shape == (1, 8, 6)
    assert prompts.masks[0, 0].all()


def test_a_black_mask_is_refused(mask_file):
    with pytest.raises(ValueError, match='got black only'):
        read_prompt_flags([('mask', mask_file(np.zeros((6, 8), np.uint8)))])


def test_no_flags_are_no_prompts():
    assert read_prompt_flags([]) is None
