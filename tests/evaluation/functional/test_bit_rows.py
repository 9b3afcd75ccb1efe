import cv2
import numpy as np
import pytest

from seg.evaluation.functional.bit_rows import grow_by_disk, pack_rows, row_length


def unpack(bits, shape, length):
    height, width = shape
    data = (bits & ((1 << height * length) - 1)).to_bytes(height * length // 8, 'little')
    rows = np.unpackbits(np.frombuffer(data, np.uint8), bitorder='little')
    return rows.reshape(height, length)[:, :width]


@pytest.mark.parametrize('radius', [0, 1, 2, 3, 5, 8, 9, 13])
def test_growing_is_dilation_by_a_disk(radius):
    rng = np.random.default_rng(radius)
    squares = np.square(np.arange(-radius, radius + 1))
    disk = (squares[:, None] + squares <= radius**2).astype(np.uint8)
    for shape in ((1, 1), (7, 30), (40, 17)):
        mask = rng.random(shape) < 0.02
        mask[0, 0] = mask[-1, -1] = True
        length = row_length(shape[1], radius)
        grown = grow_by_disk(pack_rows(mask, length), radius, length)
        expected = cv2.dilate(mask.astype(np.uint8), disk)
        np.testing.assert_array_equal(unpack(grown, shape, length), expected)


def test_a_mask_is_placed_in_a_larger_picture():
    mask = np.array([[True, False], [True, True]])
    bits = pack_rows(mask, 8, top=1, left=3)
    expected = np.zeros((3, 8), np.uint8)
    expected[1:, 3:5] = mask
    np.testing.assert_array_equal(unpack(bits, (3, 8), 8), expected)
