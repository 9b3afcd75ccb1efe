"""Names and colours of the Shapes world: classes, object colours and drawing palette."""

from __future__ import annotations

import numpy as np

SHAPES_THINGS = ('disc', 'square', 'triangle', 'star', 'ring', 'cross', 'crescent', 'hourglass')
"""Thing classes, told apart by their outline alone."""

SHAPES_STUFF = ('stripes', 'dots', 'clouds')
"""Stuff classes, told apart by the kind of their texture."""

SHAPES_CLASSES = SHAPES_THINGS + SHAPES_STUFF
"""All classes, in the order of their labels."""

SHAPES_PALETTE = [
    (230, 60, 60),
    (60, 130, 230),
    (60, 180, 90),
    (245, 200, 50),
    (160, 80, 200),
    (250, 140, 40),
    (40, 190, 200),
    (235, 110, 180),
    (120, 130, 150),
    (170, 150, 110),
    (90, 110, 90),
]
"""RGB of each class in drawings, things first; unrelated to the colours of the objects."""

COLOR_NAMES = (
    'red',
    'orange',
    'yellow',
    'green',
    'cyan',
    'blue',
    'purple',
    'pink',
    'white',
    'black',
)
"""Colours that objects and background share."""

COLOR_VALUES = np.array(
    [
        (212, 44, 44),
        (240, 138, 36),
        (244, 212, 64),
        (58, 160, 72),
        (70, 204, 208),
        (48, 92, 212),
        (132, 64, 178),
        (246, 148, 194),
        (236, 236, 230),
        (44, 44, 50),
    ],
    dtype=np.float32,
)
"""RGB of ``COLOR_NAMES``, (10, 3), 0..255."""

MIN_COLOR_DISTANCE = 105.0
"""Smallest RGB distance between an object's colour and that of the stuff below it."""

COLORS_CLASH = (
    np.linalg.norm(COLOR_VALUES[:, None] - COLOR_VALUES[None], axis=-1) < MIN_COLOR_DISTANCE
)
"""Which two colours are too close to be seen on one another, (10, 10), bool."""
