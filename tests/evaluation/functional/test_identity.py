import numpy as np
import pytest

from seg.evaluation.functional.identity import IdentityCase, find_cases, keeps_identity
from seg.utils.checks import UserError

FULL = 100


def areas(*parts):
    """Visible pixels of one thing: (frames, pixels) after one another."""
    return np.concatenate([np.full(frames, pixels) for frames, pixels in parts])[None]


def cases_of(visible, inside=None):
    inside = np.full_like(visible, FULL) if inside is None else inside
    return [(c.object_id, c.kind, c.start, c.stop) for c in find_cases(visible, inside, [7])]


def test_ten_hidden_frames_are_an_occlusion_and_nine_a_crossing():
    assert cases_of(areas((5, FULL), (10, 0), (5, FULL))) == [
        (7, 'occlusion', 5, 15),
        (7, 'reappearance', 5, 15),
    ]
    assert cases_of(areas((5, FULL), (9, 0), (5, FULL))) == [(7, 'crossing', 5, 14)]


def test_the_frames_around_an_occlusion_are_part_of_it_but_not_of_the_reappearance():
    visible = areas((3, FULL), (2, 50), (12, 0), (2, 30), (4, FULL))
    assert cases_of(visible) == [(7, 'occlusion', 3, 19), (7, 'reappearance', 5, 17)]


def test_what_is_never_free_again_only_reappears():
    assert cases_of(areas((3, FULL), (12, 0), (8, 79))) == [(7, 'reappearance', 3, 15)]
    assert cases_of(areas((3, 79), (12, 0), (8, FULL))) == [(7, 'reappearance', 3, 15)]


def test_two_full_occlusions_without_a_free_frame_between_are_one_occlusion():
    visible = areas((3, FULL), (10, 0), (3, 50), (10, 0), (4, FULL))
    assert cases_of(visible) == [
        (7, 'reappearance', 3, 13),
        (7, 'occlusion', 3, 26),
        (7, 'reappearance', 16, 26),
    ]


def test_a_fifth_hidden_is_a_crossing_if_it_was_free_before_and_after():
    assert cases_of(areas((3, FULL), (4, 80), (3, FULL))) == [(7, 'crossing', 3, 7)]
    assert cases_of(areas((3, FULL), (4, 81), (3, FULL))) == []
    assert cases_of(areas((3, 90), (4, 50), (3, FULL))) == []
    assert cases_of(areas((3, FULL), (4, 50), (3, 90))) == []


def test_what_leaves_the_frame_is_not_hidden():
    visible = areas((5, FULL), (10, 0), (5, FULL))
    assert cases_of(visible, visible) == []


def test_an_object_that_does_not_come_back_is_no_case():
    assert cases_of(areas((5, FULL), (10, 0), (5, 39))) == []
    assert cases_of(areas((5, FULL), (10, 0))) == []


def test_an_object_that_is_not_there_at_first_is_no_case():
    assert cases_of(areas((1, 39), (4, FULL), (10, 0), (5, FULL))) == []


def test_several_events_are_listed_in_time():
    visible = areas((5, FULL), (3, 50), (5, FULL), (11, 0), (5, FULL))
    assert cases_of(visible) == [
        (7, 'crossing', 5, 8),
        (7, 'occlusion', 13, 24),
        (7, 'reappearance', 13, 24),
    ]


def clip(num_frames=12, hidden=range(3, 6)):
    """True masks of object 7, an 8 x 8 square, and maps in which it and object 9 are found."""
    masks = np.zeros((num_frames, 20, 30), dtype=bool)
    masks[:, 2:10, 2:10] = True
    masks[list(hidden)] = False
    maps = np.where(masks, 7, 0)
    maps[:, 12:18, 12:18] = 9
    return masks, maps


CASE = IdentityCase(7, 'occlusion', 3, 6)


def test_an_id_is_kept():
    masks, maps = clip()
    assert keeps_identity(CASE, masks, maps)


def test_a_swap_loses_it():
    masks, maps = clip()
    maps[6:] = np.select([maps[6:] == 7, maps[6:] == 9], [9, 7])
    assert not keeps_identity(CASE, masks, maps)


def test_a_copy_of_the_old_place_loses_it():
    masks, maps = clip()
    masks[6:] = np.roll(masks[6:], 6, axis=2)
    assert not keeps_identity(CASE, masks, maps)


def test_half_of_five_frames_decide():
    masks, maps = clip()
    maps[8:][maps[8:] == 7] = 0  # right in two of five
    assert not keeps_identity(CASE, masks, maps)
    masks, maps = clip()
    maps[9:][maps[9:] == 7] = 0  # right in three
    assert keeps_identity(CASE, masks, maps)


def test_only_frames_that_show_it_count():
    masks, maps = clip(hidden=[3, 4, 5, 7, 8])
    masks[9:, 2:10, 2:8] = False
    masks[9:, :8] = False  # fewer than 40 pixels: only frame 6 counts
    maps[7:] = 0
    assert keeps_identity(CASE, masks, maps)


def test_what_does_not_fit_is_refused():
    masks, maps = clip()
    with pytest.raises(UserError, match=r'\(12, 20, 30\).*got \(11, 20, 30\)'):
        keeps_identity(CASE, masks, maps[1:])
    with pytest.raises(UserError, match='expected frames after the event'):
        keeps_identity(IdentityCase(7, 'occlusion', 3, 12), masks, maps)
