import numpy as np
import pytest

from seg.visualization.palettes import (
    class_color,
    class_palette,
    id_color,
    readable_text_color,
    voc_color,
)


def test_an_id_keeps_its_colour_however_many_there_are():
    assert id_color(3) == id_color(3 + 160)
    assert class_palette(5) == class_palette(133)[:5]


def test_the_first_colours_are_far_apart():
    for colors in ([id_color(i) for i in range(12)], class_palette(12)):
        values = np.array(colors, dtype=float)
        distance = np.linalg.norm(values[:, None] - values[None], axis=-1)
        assert distance[~np.eye(12, dtype=bool)].min() > 40


def test_all_colours_differ():
    assert len({id_color(i) for i in range(160)}) == 160
    assert len({class_color(i) for i in range(160)}) == 160


@pytest.mark.parametrize(
    ('background', 'text'), [((0, 0, 0), 255), ((255, 255, 255), 16), ((255, 255, 0), 16)]
)
def test_text_contrasts_with_its_background(background, text):
    assert readable_text_color(background)[0] == text


def test_voc_colors_are_the_published_ones():
    colors = [(0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128)]
    assert [voc_color(index) for index in range(5)] == colors
    assert voc_color(255) == (224, 224, 192)
    assert len({voc_color(index) for index in range(256)}) == 256
