"""Pictures as another sensor would have taken them: data of another kind for fine-tuning."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageFilter


def as_other_sensor(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """An image that is grey, inverted, faint, smeared and noisy; nothing in it is moved.

    Args:
        image: (H, W, 3), uint8, RGB.
        rng: Draws the noise.

    Returns:
        (H, W, 3), uint8, RGB.
    """
    smeared = Image.fromarray(image).convert('L').filter(ImageFilter.GaussianBlur(1))
    grey = 255 - np.asarray(smeared, dtype=np.float32)
    noisy = 0.3 * grey + 100 + rng.normal(0, 20, grey.shape)
    return np.repeat(noisy.clip(0, 255).astype(np.uint8)[..., None], 3, axis=-1)
