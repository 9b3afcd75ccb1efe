"""Textures, colour fills and photometric changes of Shapes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

from seg.datasets.shapes.palette import COLOR_NAMES, COLOR_VALUES, SHAPES_STUFF

TILE = 256
"""Period of every texture in tile coordinates."""

TILE_COPIES = 4
"""Periods held in memory along each axis, so that windows rarely reach over the border."""

REPEATS = 16
"""Stripes or rows of dots in one period."""

TEXTURES = (*SHAPES_STUFF, 'plain')
"""Fills of objects; stuff uses all but the last."""

_NOISE_SIZE = 512


@dataclass(frozen=True)
class Fill:
    """A colour in two tones over a texture that is fixed to its carrier.

    Attributes:
        color: Index into ``COLOR_NAMES``.
        base: Main tone, RGB, (3,), float32.
        accent: Second tone, RGB, (3,), float32.
        texture: Index into ``TEXTURES``.
        to_tile: Maps carrier coordinates (x, y, 1) in pixels to the tile, (2, 3).
    """

    color: int
    base: np.ndarray
    accent: np.ndarray
    texture: int
    to_tile: np.ndarray


@dataclass(frozen=True)
class Look:
    """What the camera does to the colours of a whole clip.

    Attributes:
        contrast: Factor around mid-grey.
        brightness: Added to every pixel, in grey levels.
        slope: Change of light over the frame's width and height, as a share, (2,).
        blur: Standard deviation of the blur in pixels, 0 for none.
        noise: Standard deviation of the noise in grey levels.
        noise_seed: Where the noise of the first frame starts.
    """

    contrast: float
    brightness: float
    slope: tuple[float, float]
    blur: float
    noise: float
    noise_seed: int


def draw_fill(rng: np.random.Generator, color: int, texture: int, scale: float) -> Fill:
    """Draw the tones and the texture's period, direction and offset."""
    base = COLOR_VALUES[color] + rng.uniform(-12, 12, 3).astype(np.float32)
    strength = rng.uniform(0.24, 0.42)
    is_black = COLOR_NAMES[color] == 'black'
    accent = base + 170 * strength if is_black else base * (1 - strength)
    period, angle = rng.uniform(6, 11) * scale, rng.uniform(0, 2 * np.pi)
    frequency = TILE / REPEATS / period
    turn = frequency * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    to_tile = np.concatenate([turn, rng.uniform(0, TILE, (2, 1))], axis=1)
    return Fill(color, base, accent.astype(np.float32), texture, to_tile)


def draw_look(rng: np.random.Generator, scale: float) -> Look:
    """Draw noise, blur, brightness, contrast and the slope of the light."""
    blurred = rng.random() < 0.4
    return Look(
        contrast=rng.uniform(0.75, 1.2),
        brightness=rng.uniform(-25, 25),
        slope=(rng.uniform(-0.25, 0.25), rng.uniform(-0.25, 0.25)),
        blur=rng.uniform(0.4, 1.0) * max(scale, 0.5) if blurred else 0.0,
        noise=rng.uniform(1, 9),
        noise_seed=int(rng.integers(1 << 30)),
    )


@cache
def _tiles() -> np.ndarray:
    """Share of the second tone in 1/255, (textures - 1, side, side), uint8."""
    phase = 2 * np.pi * REPEATS * np.arange(TILE) / TILE
    stripes = 0.5 + 0.5 * np.tanh(4 * np.sin(phase))[None].repeat(TILE, axis=0)
    dots = 0.5 + 0.5 * np.tanh(4 * (np.cos(phase)[None] + np.cos(phase)[:, None] - 0.35))
    grain = np.random.Generator(np.random.PCG64(7)).standard_normal((TILE, TILE))
    frequency = np.fft.fftfreq(TILE, 1 / TILE)
    width = 0.8 * REPEATS
    smooth = np.exp(-(frequency[None] ** 2 + frequency[:, None] ** 2) / (2 * width**2))
    clouds = np.fft.ifft2(np.fft.fft2(grain) * smooth).real
    clouds = 0.5 + 0.5 * np.tanh(1.2 * clouds / clouds.std())
    tiles = np.rint(255 * np.stack([stripes, dots, clouds])).astype(np.uint8)
    return np.tile(tiles, (1, TILE_COPIES, TILE_COPIES))


@cache
def _noise() -> np.ndarray:
    generator = np.random.Generator(np.random.PCG64(11))
    return generator.standard_normal((3, _NOISE_SIZE, _NOISE_SIZE), dtype=np.float32)


def paint(fill: Fill, to_carrier: np.ndarray, top: int, left: int, shape: tuple) -> np.ndarray:
    """Colours of a window of the frame under one fill.

    Args:
        fill: The fill.
        to_carrier: Maps frame coordinates (x, y, 1) to the carrier's, (2, 3).
        top: First row of the window.
        left: First column of the window.
        shape: Height and width of the window.

    Returns:
        RGB, (3, h, w), float32; (3, 1, 1) if the fill is plain.
    """
    base = fill.base[:, None, None]
    if TEXTURES[fill.texture] == 'plain':
        return base
    matrix = fill.to_tile[:, :2] @ to_carrier
    matrix[:, 2] += fill.to_tile[:, 2] + matrix[:, :2] @ (left + 0.5, top + 0.5)
    # The middle of the window goes to the middle of the tiles, up to whole periods.
    middle = matrix[:, :2] @ (shape[1] / 2, shape[0] / 2) + matrix[:, 2]
    first = TILE * (TILE_COPIES - 1) / 2
    matrix[:, 2] += first + (middle - first) % TILE - middle
    tone = cv2.warpAffine(
        _tiles()[fill.texture],
        matrix,
        (shape[1], shape[0]),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_WRAP,
    )
    step = (fill.accent - fill.base) * np.float32(1 / 255)
    return base + tone.astype(np.float32) * step[:, None, None]


def expose(canvas: np.ndarray, look: Look, frame_index: int) -> np.ndarray:
    """Turn painted colours (3, H, W), float32, into the camera's picture (H, W, 3), uint8."""
    height, width = canvas.shape[1:]
    across = look.slope[0] * np.linspace(-0.5, 0.5, width, dtype=np.float32)[None]
    down = look.slope[1] * np.linspace(-0.5, 0.5, height, dtype=np.float32)[:, None]
    picture = canvas * (np.float32(look.contrast) * (1 + (across + down)))
    picture += np.float32(128 * (1 - look.contrast) + look.brightness)
    if look.blur:
        side = 2 * int(np.ceil(2.5 * look.blur)) + 1
        for plane in picture:
            cv2.GaussianBlur(plane, (side, side), look.blur, dst=plane)
    picture += _noise_window(look, frame_index, height, width) * np.float32(look.noise)
    return cv2.merge(np.clip(picture, 0, 255, out=picture).astype(np.uint8))


def _noise_window(look: Look, frame_index: int, height: int, width: int) -> np.ndarray:
    """A window of the noise tile, another one for each frame."""
    place = (look.noise_seed + frame_index * 7919) * 2654435761 % (1 << 32)
    top, left = place % _NOISE_SIZE, place // _NOISE_SIZE % _NOISE_SIZE
    if top + height <= _NOISE_SIZE and left + width <= _NOISE_SIZE:
        return _noise()[:, top : top + height, left : left + width]
    rows = (top + np.arange(height)) % _NOISE_SIZE
    columns = (left + np.arange(width)) % _NOISE_SIZE
    return _noise()[:, rows[:, None], columns[None]]
