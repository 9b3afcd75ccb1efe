"""Changes of size. All sizes are (H, W)."""

from __future__ import annotations

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from torch import Tensor
from torchvision.transforms.v2 import functional as tv

from seg.datasets.transforms.results import Results, require_in_step, rng_of
from seg.registry import TRANSFORMS
from seg.structures import resize_prompts

Size = tuple[int, int]


def fit_size(size: Size, scale: Size, keep_ratio: bool) -> Size:
    """Size after resizing to a scale.

    Args:
        size: (H, W) of the image.
        scale: (H, W) to fit into. With ``keep_ratio`` its orientation does not matter: the long
            side of the image fits the long side of the scale and the short side the short one,
            so portrait and landscape images come out equally large.
        keep_ratio: Whether the aspect ratio stays.
    """
    if not keep_ratio:
        return scale
    factor = min(max(scale) / max(size), min(scale) / min(size))
    return max(int(size[0] * factor + 0.5), 1), max(int(size[1] * factor + 0.5), 1)


def nearest_source(old: int, new: int) -> np.ndarray:
    """Which of ``old`` pixels each of ``new`` pixels shows: the nearest at its centre, (new,)."""
    return (2 * np.arange(new) + 1) * old // (2 * new)  # floor((i + 1/2) old / new)


def resize_masks(masks: Tensor, size: Size) -> Tensor:
    """Nearest neighbour at pixel centres.

    Args:
        masks: (..., H, W), any type.
        size: New (H, W).
    """
    values = masks.numpy()
    for axis, new in zip((-1, -2), (size[1], size[0]), strict=True):
        old = values.shape[axis]
        if old != new:  # NumPy's take is several times faster than index_select on bool
            values = values.take(nearest_source(old, new), axis=axis)
    return torch.from_numpy(values)


def check_scale(name: str, scale: Size) -> Size:
    """The (H, W) of a setting ``scale``, as integers.

    Raises:
        ValueError: If it is no size.
    """
    if len(scale) != 2 or min(scale) < 1:
        raise ValueError(f'{name}.scale: expected (H, W) in pixels, got {scale}')
    return int(scale[0]), int(scale[1])


def check_ratio_range(name: str, ratio_range: tuple[float, float]) -> tuple[float, float]:
    """The smallest and largest factor of a setting ``ratio_range``.

    Raises:
        ValueError: If they are not in order or not positive.
    """
    if len(ratio_range) != 2 or not 0 < ratio_range[0] <= ratio_range[1]:
        raise ValueError(
            f'{name}.ratio_range: expected 0 < smallest <= largest, got {tuple(ratio_range)}'
        )
    return float(ratio_range[0]), float(ratio_range[1])


def random_scale(scale: Size, ratio_range: tuple[float, float], rng: np.random.Generator) -> Size:
    """A scale times a factor that is uniform in a range, (H, W)."""
    factor = rng.uniform(*ratio_range)
    return max(round(scale[0] * factor), 1), max(round(scale[1] * factor), 1)


def resize_clip(results: Results, size: Size) -> None:
    """Resize the clip and the prompts in place, and note ``img_shape`` and ``scale_factor``."""
    height, width = results['clip'].shape[-2:]
    results.setdefault('ori_shape', (height, width))
    if size != (height, width):
        results['clip'] = tv.resize(results['clip'], list(size), antialias=True)
    scale = (size[1] / width, size[0] / height)
    if 'prompts' in results:
        results['prompts'] = resize_prompts(results['prompts'], (height, width), size)
    before = results.get('scale_factor', (1.0, 1.0))
    results['scale_factor'] = (before[0] * scale[0], before[1] * scale[1])
    results['img_shape'] = size


@TRANSFORMS.register_module()
class ClipResize(BaseTransform):
    """Resize clip, masks and prompts.

    Args:
        scale: (H, W) to fit into, see :func:`fit_size`.
        keep_ratio: Whether the aspect ratio stays.
    """

    def __init__(self, scale: Size, keep_ratio: bool = True) -> None:
        self.scale = check_scale(type(self).__name__, scale)
        self.keep_ratio = keep_ratio

    def transform(self, results: Results) -> Results:
        """Resize one sample."""
        require_in_step(results, type(self).__name__)
        size = fit_size(tuple(results['clip'].shape[-2:]), self.scale, self.keep_ratio)
        resize_clip(results, size)
        if 'masks' in results:
            results['masks'] = resize_masks(results['masks'], size)
        return results


@TRANSFORMS.register_module()
class TestResize(BaseTransform):
    """Resize clip and prompts but leave the ground truth at original resolution.

    Evaluation compares predictions with the annotation as it was drawn, so test pipelines use
    this one instead of :class:`ClipResize`.

    Args:
        scale: (H, W) to fit into, see :func:`fit_size`.
        keep_ratio: Whether the aspect ratio stays.
    """

    __test__ = False  # not a test case for pytest

    def __init__(self, scale: Size, keep_ratio: bool = True) -> None:
        self.scale = check_scale(type(self).__name__, scale)
        self.keep_ratio = keep_ratio

    def transform(self, results: Results) -> Results:
        """Resize one sample."""
        size = fit_size(tuple(results['clip'].shape[-2:]), self.scale, self.keep_ratio)
        resize_clip(results, size)
        return results


@TRANSFORMS.register_module()
class ClipRandomResize(BaseTransform):
    """Resize clip, masks and prompts to a scale times a random factor.

    Args:
        scale: (H, W) that a factor of 1 fits into, see :func:`fit_size`.
        ratio_range: Smallest and largest factor, drawn uniformly.
        keep_ratio: Whether the aspect ratio stays.
    """

    def __init__(
        self, scale: Size, ratio_range: tuple[float, float], keep_ratio: bool = True
    ) -> None:
        self.scale = check_scale(type(self).__name__, scale)
        self.ratio_range = check_ratio_range('ClipRandomResize', ratio_range)
        self.keep_ratio = keep_ratio

    def transform(self, results: Results) -> Results:
        """Resize one sample."""
        scale = random_scale(self.scale, self.ratio_range, rng_of(results))
        return ClipResize(scale, self.keep_ratio).transform(results)
