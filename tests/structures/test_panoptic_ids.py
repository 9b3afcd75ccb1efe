import numpy as np
import pytest

from seg.structures.panoptic_ids import NUM_IDS, decode_panoptic, encode_panoptic


def test_decode_weighs_red_green_and_blue():
    rgb = np.array([[[7, 0, 0], [0, 1, 0], [0, 0, 1], [3, 2, 1]]], dtype=np.uint8)
    ids = decode_panoptic(rgb)
    assert ids.dtype == np.int32
    assert ids.tolist() == [[7, 256, 65536, 3 + 2 * 256 + 65536]]


@pytest.mark.parametrize('dtype', [np.int32, np.int64, np.uint32, np.uint64])
def test_encode_then_decode_is_the_identity(dtype):
    ids = np.random.default_rng(0).integers(0, NUM_IDS, (3, 5, 4)).astype(dtype)
    ids[0, 0, :2] = 0, NUM_IDS - 1
    rgb = encode_panoptic(ids)
    assert rgb.shape == (3, 5, 4, 3) and rgb.dtype == np.uint8
    assert np.array_equal(decode_panoptic(rgb), ids)


def test_views_that_are_not_contiguous_are_coded_right():
    ids = np.arange(600, dtype=np.int64).reshape(20, 30)[::2, ::3].T
    assert np.array_equal(decode_panoptic(encode_panoptic(ids)[::-1]), ids[::-1])


def test_an_empty_map_stays_empty():
    assert decode_panoptic(encode_panoptic(np.zeros((0, 4), np.int32))).shape == (0, 4)


def test_decode_names_a_wrong_type():
    with pytest.raises(TypeError, match='expected uint8, got float64'):
        decode_panoptic(np.zeros((2, 2, 3)))


@pytest.mark.parametrize('shape', [(4, 4), (4, 4, 4), (3,)])
def test_decode_names_a_wrong_shape(shape):
    with pytest.raises(ValueError, match=r'expected shape \(\.\.\., H, W, 3\)'):
        decode_panoptic(np.zeros(shape, np.uint8))


def test_encode_names_a_wrong_type():
    with pytest.raises(TypeError, match='expected integers, got float32'):
        encode_panoptic(np.zeros((2, 2), np.float32))


def test_encode_names_a_missing_axis():
    with pytest.raises(ValueError, match=r'expected shape \(\.\.\., H, W\)'):
        encode_panoptic(np.zeros(3, np.int32))


@pytest.mark.parametrize('value', [-1, NUM_IDS])
def test_encode_refuses_ids_beyond_three_bytes(value):
    with pytest.raises(ValueError, match='three bytes'):
        encode_panoptic(np.full((2, 2), value))
