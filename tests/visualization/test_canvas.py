import numpy as np
import pytest

from seg.visualization.canvas import Canvas


@pytest.mark.parametrize('text', ['word ' * 100, 'x' * 10_000, 'two\nlines'])
def test_captions_are_one_line_within_the_picture(text):
    image = np.zeros((80, 120, 3), np.uint8)
    short, long = Canvas(image), Canvas(image)
    short.label('word', np.ones((80, 120), bool), (255, 0, 0))
    long.label(text, np.ones((80, 120), bool), (255, 0, 0))
    (one,), (other,) = short._chips, long._chips
    assert other.height == one.height
    assert other == other.inside(*long.pixels.shape[:2])
    assert other.width <= long.pixels.shape[1]
