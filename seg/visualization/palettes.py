"""Colours that differ to the eye and never change for the same id or class."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

Color = tuple[int, int, int]

_PALETTE_SIZE = 160
# Lightness counts less than hue: two shades of one hue read as one colour under a photograph.
_LIGHTNESS_WEIGHT = 0.6


def id_color(segment_id: int) -> Color:
    """The RGB colour of an instance, a vivid one; the same id has the same colour everywhere.

    Args:
        segment_id: Any integer >= 0; colours repeat after 160 ids.
    """
    return _vivid_colors()[segment_id % _PALETTE_SIZE]


def class_color(label: int) -> Color:
    """The RGB colour of a class, a calm one that steps behind the instances.

    Args:
        label: Contiguous class index >= 0; colours repeat after 160 classes.
    """
    return _calm_colors()[label % _PALETTE_SIZE]


def class_palette(num_classes: int) -> list[Color]:
    """Colours of the first ``num_classes`` classes."""
    return [class_color(label) for label in range(num_classes)]


def voc_color(index: int) -> Color:
    """The RGB colour of an index in palette PNG files of PASCAL VOC and DAVIS.

    Args:
        index: 0 (background, black) to 255.
    """
    channels = [0, 0, 0]
    for place in range(8):  # bits 0, 1, 2 of every three go to red, green, blue, high bits first
        for channel in range(3):
            channels[channel] |= ((index >> (3 * place + channel)) & 1) << (7 - place)
    return channels[0], channels[1], channels[2]


def readable_text_color(background: Color) -> Color:
    """Near-black or white, whichever has the higher contrast on ``background``."""
    linear = _to_linear(np.asarray(background, dtype=np.float64) / 255)
    luminance = float(linear @ (0.2126, 0.7152, 0.0722))
    return (255, 255, 255) if luminance < 0.30 else (16, 18, 22)


@lru_cache(maxsize=1)
def _vivid_colors() -> list[Color]:
    return _spread_colors(lightness=(0.56, 0.84), chroma=(0.12, 0.23))


@lru_cache(maxsize=1)
def _calm_colors() -> list[Color]:
    return _spread_colors(lightness=(0.42, 0.82), chroma=(0.04, 0.10))


def _spread_colors(lightness: tuple[float, float], chroma: tuple[float, float]) -> list[Color]:
    """Order displayable colours so that each is as far as possible from all before it.

    Distances are taken in OKLab (B. Ottosson, 2020), where equal distances look equally large.

    Args:
        lightness: Range of OKLab lightness, 0..1.
        chroma: Range of distances from grey.
    """
    hue, light, strength = np.meshgrid(
        np.linspace(0, 2 * np.pi, 72, endpoint=False),
        np.linspace(*lightness, 9),
        np.linspace(*chroma, 7),
        indexing='ij',
    )
    lab = np.stack([light, strength * np.cos(hue), strength * np.sin(hue)], axis=-1).reshape(-1, 3)
    rgb = _oklab_to_rgb(lab)
    displayable = ((rgb >= 0) & (rgb <= 1)).all(axis=1)
    lab, rgb = lab[displayable], rgb[displayable]
    space = lab * (_LIGHTNESS_WEIGHT, 1, 1)
    # A blue of full strength opens the sequence.
    order = [int(np.argmin(lab[:, 2] + 0.3 * lab[:, 1]))]
    distance = np.full(len(lab), np.inf)
    for _ in range(_PALETTE_SIZE - 1):
        distance = np.minimum(distance, np.linalg.norm(space - space[order[-1]], axis=1))
        order.append(int(distance.argmax()))
    return [(int(r), int(g), int(b)) for r, g, b in np.rint(rgb[order] * 255)]


def _oklab_to_rgb(lab: np.ndarray) -> np.ndarray:
    """OKLab to sRGB; values outside [0, 1] cannot be displayed."""
    light, a, b = lab.T
    cone = np.stack(
        [
            light + 0.3963377774 * a + 0.2158037573 * b,
            light - 0.1055613458 * a - 0.0638541728 * b,
            light - 0.0894841775 * a - 1.2914855480 * b,
        ],
        axis=1,
    )
    linear = cone**3 @ np.array(
        [
            [4.0767416621, -1.2684380046, -0.0041960863],
            [-3.3077115913, 2.6097574011, -0.7034186147],
            [0.2309699292, -0.3413193965, 1.7076147010],
        ]
    )
    curved = 1.055 * np.maximum(linear, 0.0031308) ** (1 / 2.4) - 0.055
    return np.where(linear > 0.0031308, curved, 12.92 * linear)


def _to_linear(srgb: np.ndarray) -> np.ndarray:
    return np.where(srgb > 0.04045, ((srgb + 0.055) / 1.055) ** 2.4, srgb / 12.92)
