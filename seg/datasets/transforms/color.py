"""Changes of colour."""

from __future__ import annotations

from mmcv.transforms import BaseTransform
from torchvision.transforms.v2 import functional as tv

from seg.datasets.transforms.results import Results, rng_of
from seg.registry import TRANSFORMS


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
