import numpy as np
import pytest

from seg.visualization import contact_sheet


def flat(height, width, value):
    return np.full((height, width, 3), value, np.uint8)


def test_pictures_lie_in_reading_order():
    sheet = contact_sheet([flat(40, 60, v) for v in (10, 20, 30)], columns=2)
    assert sheet.shape == (2 * 40 + 3 * 6, 2 * 60 + 3 * 6, 3)
    assert sheet[6, 6, 0] == 10
    assert sheet[6, 6 + 60 + 6, 0] == 20
    assert sheet[6 + 40 + 6, 6, 0] == 30


def test_pictures_of_other_sizes_are_fitted():
    sheet = contact_sheet([flat(40, 60, 10), flat(10, 120, 20)], columns=1, cell_width=60)
    assert sheet.shape == (40 + 5 + 3 * 6, 60 + 12, 3)


def test_captions_take_room_and_are_cut_when_too_long():
    pictures = [flat(40, 60, 10)]
    named = contact_sheet(pictures, captions=['a caption that is far too long to fit'])
    assert named.shape[0] > contact_sheet(pictures).shape[0]
    assert named.shape[1] == contact_sheet(pictures).shape[1]
    assert (named[47:] < 100).any()


@pytest.mark.parametrize(
    ('pictures', 'columns', 'captions'), [([], 2, None), ([1], 0, None), ([1], 1, ['a', 'b'])]
)
def test_impossible_sheets_are_refused(pictures, columns, captions):
    with pytest.raises(ValueError, match='expected'):
        contact_sheet([flat(4, 4, 0) for _ in pictures], columns, captions)
