"""Mirroring."""

from __future__ import annotations

import re
from dataclasses import replace

from mmcv.transforms import BaseTransform

from seg.datasets.transforms.results import Results, move_prompts, rng_of
from seg.registry import TRANSFORMS

_OPPOSITES = {'left': 'right', 'leftmost': 'rightmost', 'right': 'left', 'rightmost': 'leftmost'}
_SIDE = re.compile(r'\b(left|right)(most)?\b', re.IGNORECASE)


def mirror_words(text: str) -> str:
    """A phrase about the mirrored picture: whole words left and right, leftmost and rightmost swap.

    Args:
        text: A phrase in English; the spelling of a first capital stays.
    """
    return _SIDE.sub(_opposite, text)


def _opposite(found: re.Match[str]) -> str:
    word = found.group()
    opposite = _OPPOSITES[word.lower()]
    return opposite.capitalize() if word[0].isupper() else opposite


@TRANSFORMS.register_module()
class ClipFlip(BaseTransform):
    """Mirror the clip left to right with a probability, all frames alike.

    Moves masks and prompts with it and notes ``flip`` in the metainfo. In expressions and in the
    texts of prompts, left and right change places, see :func:`mirror_words`.

    Args:
        prob: Probability in [0, 1].
    """

    def __init__(self, prob: float = 0.5) -> None:
        if not 0 <= prob <= 1:
            raise ValueError(f'ClipFlip.prob: expected a probability in [0, 1], got {prob}')
        self.prob = prob

    def transform(self, results: Results) -> Results:
        """Mirror one sample, perhaps."""
        flip = bool(rng_of(results).random() < self.prob)
        results['flip'] = flip
        if not flip:
            return results
        results['clip'] = results['clip'].flip(-1)
        if 'masks' in results:
            results['masks'] = results['masks'].flip(-1)
        if 'expressions' in results:
            results['expressions'] = [
                None if text is None else mirror_words(text) for text in results['expressions']
            ]
        if 'prompts' in results:
            width = results['clip'].shape[-1]
            prompts = move_prompts(results['prompts'], scale=(-1.0, 1.0), shift=(width, 0.0))
            if prompts.masks is not None:
                prompts = replace(prompts, masks=prompts.masks.flip(-1))
            texts = tuple(None if text is None else mirror_words(text) for text in prompts.texts)
            results['prompts'] = replace(prompts, texts=texts)
        return results
