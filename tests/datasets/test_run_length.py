import numpy as np
import pytest
from pycocotools import mask as coco_mask

from seg.datasets.converters.base import run_length_code, run_lengths
from seg.datasets.run_length import _runs_of_text, decode_run_length
from seg.utils.checks import UserError


def random_masks():
    rng = np.random.default_rng(0)
    for size in ((1, 1), (7, 5), (60, 90), (400, 300)):
        for share in (0.0, 0.02, 0.5, 1.0):
            yield rng.random(size) < share
    large = np.zeros((700, 900), dtype=bool)
    large[100:600, 50:800] = True
    yield large


def test_both_forms_are_decoded_as_pycocotools_does():
    for mask in random_masks():
        for code in (run_length_code(mask), run_lengths(mask)):
            decoded = decode_run_length(code, 'here')
            assert decoded.dtype == bool
            np.testing.assert_array_equal(decoded, mask)


def test_runs_of_a_text_are_those_of_the_list():
    for mask in random_masks():
        text = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))['counts']
        assert _runs_of_text(text).tolist() == run_lengths(mask)['counts']


@pytest.mark.parametrize(
    'counts',
    ['', 'abc', 'PPPP0000', 'zzzz', '\xff', 'P', 5, None, [10], [-5, 25], [30], ['a'], [0.5], []],
)
def test_runs_that_do_not_cover_the_image_are_named(counts):
    with pytest.raises(
        UserError, match=r'^annotation 3: expected run-length counts of together 4 x 5 = 20'
    ):
        decode_run_length({'size': [4, 5], 'counts': counts}, 'annotation 3')


def test_a_text_that_is_cut_off_is_named():
    code = run_length_code(np.random.default_rng(0).random((40, 50)) < 0.3)
    for kept in (-1, -7, 3):
        with pytest.raises(UserError, match='40 x 50'):
            decode_run_length({**code, 'counts': code['counts'][:kept]}, 'here')
