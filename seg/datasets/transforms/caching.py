"""What the cache of embeddings needs from a pipeline: images that repeat, and keys for them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform

from seg.datasets.transforms.color import (
    ClipColorJitter,
    ClipMotionBlur,
    ClipPhotometricDistortion,
)
from seg.datasets.transforms.copy_paste import CopyPaste
from seg.datasets.transforms.crop import ClipRandomCrop
from seg.datasets.transforms.flip import ClipFlip
from seg.datasets.transforms.jitter import LargeScaleJitter, PseudoClipJitter
from seg.datasets.transforms.resize import ClipRandomResize
from seg.datasets.transforms.results import Results, rng_of
from seg.registry import TRANSFORMS
from seg.utils.checks import UserError

_RANDOM_STEPS = (
    ClipColorJitter,
    ClipFlip,
    ClipMotionBlur,
    ClipPhotometricDistortion,
    ClipRandomCrop,
    ClipRandomResize,
    CopyPaste,
    LargeScaleJitter,
    PseudoClipJitter,
)


@TRANSFORMS.register_module()
class FixedViews(BaseTransform):
    """Applies random changes that repeat: every image has a fixed number of random views.

    Each time, one of the views is drawn; what follows, such as prompts, stays random.

    Args:
        num_views: Views per image.
        transforms: Steps or their configs.
        seed: Of the views.
    """

    def __init__(
        self,
        num_views: int,
        transforms: Sequence[Mapping[str, Any] | Callable[[Results], Results]],
        seed: int = 0,
    ) -> None:
        if num_views < 1:
            raise UserError(f'FixedViews.num_views: expected at least 1, got {num_views}')
        self.num_views = num_views
        self.transforms = [
            TRANSFORMS.build(step) if isinstance(step, Mapping) else step for step in transforms
        ]
        self.seed = seed

    def transform(self, results: Results) -> Results:
        """Change one sample."""
        rng = rng_of(results)
        view = int(rng.integers(self.num_views))
        results['rng'] = np.random.default_rng((self.seed, results['sample_index'], view))
        for step in self.transforms:
            results = step(results)
        results['rng'] = rng
        return results


@TRANSFORMS.register_module()
class AddImageKey(BaseTransform):
    """Notes a fingerprint of the image's pixels, by which its embedding is cached.

    Put it after the last change of the image, and ``meta_keys=('image_key',)`` into ``PackClip``.
    Random changes before it would make every image a new one and are refused, unless they are
    within :class:`FixedViews`.
    """

    def __init__(self) -> None:
        self._is_checked = False

    def transform(self, results: Results) -> Results:
        """Note the key of one sample.

        Raises:
            UserError: If a step before this one changes images at random.
        """
        if not self._is_checked:
            self._check(getattr(results.get('dataset'), 'pipeline', []))
            self._is_checked = True
        clip = results['clip'].contiguous().numpy()
        digest = hashlib.blake2b(clip.data, digest_size=16)
        digest.update(str(clip.shape).encode())
        results['image_key'] = digest.hexdigest()
        return results

    def _check(self, pipeline: Sequence[Any]) -> None:
        for step in pipeline:
            if step is self:
                return
            if isinstance(step, _RANDOM_STEPS):
                raise UserError(
                    f'pipeline: expected images that repeat, as their embeddings are cached, got '
                    f'{type(step).__name__} before AddImageKey; leave it out, put it into '
                    'FixedViews(num_views=V, transforms=[...]), or train without a cache'
                )
