"""Changes of colour and sharpness; segments and prompts stay as they are."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import torch
from mmcv.transforms import BaseTransform
from torch import Tensor
from torchvision.transforms.v2 import functional as tv

from seg.datasets.transforms.results import Results, rng_of
from seg.registry import TRANSFORMS


def map_frames(clip: Tensor, change: Callable[[np.ndarray], np.ndarray]) -> Tensor:
    """Change every frame alike; frames that :class:`PseudoClip` repeated are changed once.

    Args:
        clip: (T, 3, H, W), uint8, RGB.
        change: From (H, W, 3) to the same shape, uint8.
    """
    repeated = len(clip) > 1 and clip.stride(0) == 0
    frames = clip[:1] if repeated else clip
    changed = [change(np.ascontiguousarray(frame.permute(1, 2, 0).numpy())) for frame in frames]
    new = torch.from_numpy(np.stack(changed)).permute(0, 3, 1, 2)
    return new.expand(len(clip), -1, -1, -1) if repeated else new


def _check_prob(name: str, prob: float) -> float:
    if not 0 <= prob <= 1:
        raise ValueError(f'{name}.prob: expected a probability in [0, 1], got {prob}')
    return prob


@TRANSFORMS.register_module()
class ClipColorJitter(BaseTransform):
    """Change brightness, contrast and saturation by random factors, all frames alike.

    Args:
        brightness: Largest change; the factor is uniform in ``[1 - x, 1 + x]``.
        contrast: Likewise.
        saturation: Likewise.
    """

    def __init__(
        self, brightness: float = 0.2, contrast: float = 0.2, saturation: float = 0.2
    ) -> None:
        for name, value in (
            ('brightness', brightness),
            ('contrast', contrast),
            ('saturation', saturation),
        ):
            if not 0 <= value <= 1:
                raise ValueError(
                    f'ClipColorJitter.{name}: expected a number in [0, 1], got {value}'
                )
        self.amounts = (brightness, contrast, saturation)

    def transform(self, results: Results) -> Results:
        """Change one sample."""
        rng = rng_of(results)
        changes = (tv.adjust_brightness, tv.adjust_contrast, tv.adjust_saturation)
        for change, amount in zip(changes, self.amounts, strict=True):
            factor = rng.uniform(1 - amount, 1 + amount)
            if amount > 0:
                results['clip'] = change(results['clip'], factor)
        return results


@TRANSFORMS.register_module()
class ClipPhotometricDistortion(BaseTransform):
    """Change brightness, contrast, saturation and hue, each with a probability, all frames alike.

    The strong distortion of single-shot detectors (Liu et al., SSD, 2016), in a fixed order.

    Args:
        brightness: Largest offset, grey levels in [0, 255].
        contrast: Smallest and largest factor.
        saturation: Smallest and largest factor.
        hue: Largest turn of the colour circle, degrees in [0, 180].
        prob: Probability of each change.
    """

    def __init__(
        self,
        brightness: float = 32,
        contrast: tuple[float, float] = (0.5, 1.5),
        saturation: tuple[float, float] = (0.5, 1.5),
        hue: float = 18,
        prob: float = 0.5,
    ) -> None:
        name = type(self).__name__
        for key, value, limit in (('brightness', brightness, 255), ('hue', hue, 180)):
            if not 0 <= value <= limit:
                raise ValueError(f'{name}.{key}: expected a number in [0, {limit}], got {value}')
        for key, (low, high) in (('contrast', contrast), ('saturation', saturation)):
            if not 0 <= low <= high:
                raise ValueError(f'{name}.{key}: expected 0 <= low <= high, got {(low, high)}')
        self.low = np.array([-brightness, contrast[0], saturation[0], -hue], dtype=float)
        self.high = np.array([brightness, contrast[1], saturation[1], hue], dtype=float)
        self.prob = _check_prob(name, prob)

    def transform(self, results: Results) -> Results:
        """Change one sample."""
        rng = rng_of(results)
        values = rng.uniform(self.low, self.high)
        chosen = rng.random(4) < self.prob
        neutral = np.array([0.0, 1.0, 1.0, 0.0])
        brightness, contrast, saturation, hue = np.where(chosen, values, neutral).tolist()
        levels = np.arange(256)
        value_table = _levels((levels + brightness) * contrast)
        # OpenCV counts hues from 0 to 179.
        hsv_table = np.stack(
            [_levels((levels + hue / 2) % 180), _levels(levels * saturation), _levels(levels)], -1
        )

        def change(frame: np.ndarray) -> np.ndarray:
            if chosen[:2].any():
                frame = cv2.LUT(frame, value_table)
            if chosen[2:].any():
                hsv = cv2.LUT(cv2.cvtColor(frame, cv2.COLOR_RGB2HSV), hsv_table[None])
                frame = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
            return frame

        if chosen.any():
            results['clip'] = map_frames(results['clip'], change)
        return results


def _levels(values: np.ndarray) -> np.ndarray:
    """The nearest grey levels, uint8."""
    return np.rint(values).clip(0, 255).astype(np.uint8)


def line_kernel(length: float, angle: float) -> np.ndarray:
    """Weights of a blur along a line through the centre; symmetric, so that nothing moves.

    Args:
        length: Of the line, pixels.
        angle: Of the line against the x axis, radians.

    Returns:
        (K, K) with odd K, float32, summing to 1.
    """
    reach = int(np.ceil(length / 2)) + 1
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), dtype=np.float64)
    along = np.linspace(-length / 2, length / 2, 4 * reach + 1)
    x, y = reach + along * np.cos(angle), reach + along * np.sin(angle)
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    for right in (0, 1):
        for below in (0, 1):
            weight = np.abs(1 - right - (x - left)) * np.abs(1 - below - (y - top))
            inside = np.minimum(top + below, 2 * reach), np.minimum(left + right, 2 * reach)
            np.add.at(kernel, inside, weight)
    kernel += kernel[::-1, ::-1]  # rounding aside, it is symmetric already
    return (kernel / kernel.sum()).astype(np.float32)


@TRANSFORMS.register_module()
class ClipMotionBlur(BaseTransform):
    """Blur along a random direction with a probability, all frames alike.

    Args:
        max_length: Longest line to blur along, pixels; the length is uniform in [1, max_length].
        prob: Probability in [0, 1].
    """

    def __init__(self, max_length: float = 15, prob: float = 0.5) -> None:
        if max_length < 1:
            raise ValueError(
                f'ClipMotionBlur.max_length: expected at least 1 pixel, got {max_length}'
            )
        self.max_length = max_length
        self.prob = _check_prob('ClipMotionBlur', prob)

    def transform(self, results: Results) -> Results:
        """Blur one sample, perhaps."""
        rng = rng_of(results)
        chosen = rng.random() < self.prob
        kernel = line_kernel(rng.uniform(1, self.max_length), rng.uniform(0, np.pi))
        if chosen:
            results['clip'] = map_frames(
                results['clip'],
                lambda frame: cv2.filter2D(frame, -1, kernel, borderType=cv2.BORDER_REPLICATE),
            )
        return results
