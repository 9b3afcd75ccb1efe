import numpy as np

from seg.visualization.text import Chip, Rect, best_rect, fit_text, render_text


def disc(height, width, x, y, radius):
    rows, columns = np.ogrid[:height, :width]
    return (rows - y) ** 2 + (columns - x) ** 2 <= radius**2


def test_overlap_of_rectangles():
    assert Rect(0, 0, 10, 10).overlap(Rect(8, 7, 10, 10)) == 2 * 3
    assert Rect(0, 0, 10, 10).overlap(Rect(10, 0, 5, 5)) == 0


def test_a_large_region_is_named_inside():
    rect = best_rect((10, 20), disc(200, 300, 150, 100, 80), [])
    assert abs(rect.x + 10 - 150) <= 1
    assert abs(rect.y + 5 - 100) <= 1


def test_a_small_region_is_named_beside():
    mask = disc(200, 300, 150, 100, 8)
    rect = best_rect((10, 40), mask, [])
    assert not mask[rect.y : rect.y + 10, rect.x : rect.x + 40].any()


def test_the_scale_moves_the_place_with_the_picture():
    mask = disc(100, 100, 50, 50, 40)
    small, large = best_rect((4, 8), mask, []), best_rect((16, 32), mask, [], scale=4)
    assert abs(large.x - small.x * 4) <= 4
    assert abs(large.y - small.y * 4) <= 4


def test_chips_of_neighbours_do_not_cover_each_other():
    taken = []
    for x in range(100, 200, 12):
        taken.append(best_rect((16, 60), disc(240, 320, x, 120, 10), taken))
    pairs = [(a, b) for i, a in enumerate(taken) for b in taken[:i]]
    assert all(a.overlap(b) == 0 for a, b in pairs)


def test_chips_stay_inside_the_picture():
    rect = best_rect((12, 30), disc(64, 64, 63, 0, 6), [])
    assert rect == rect.inside(64, 64)


def test_longer_text_is_wider_and_equally_high():
    short, long = render_text('cat', 20), render_text('elephant', 20)
    assert long.shape[1] > short.shape[1]
    assert long.shape[0] == short.shape[0]


def test_a_text_is_cut_to_one_line_that_fits():
    assert fit_text('the red\n star', 200, 16) == 'the red star'
    cut = fit_text('word ' * 100_000, 200, 16)
    assert cut.startswith('word word')
    assert cut.endswith('…')
    assert 150 < render_text(cut, 16).shape[1] <= 200


def test_a_chip_that_sticks_out_is_cut():
    pixels = np.zeros((20, 20, 3), np.uint8)
    Chip.render('name', 12, (200, 0, 0)).paste(pixels, Rect(-5, 15, 40, 16))
    assert pixels[16:, :10].any()
    assert not pixels[:14].any()
