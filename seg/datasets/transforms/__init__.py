"""Steps of a pipeline over one dict per clip; see ``results.py`` for its keys."""

from seg.datasets.transforms.flip import ClipFlip
from seg.datasets.transforms.packing import PackClip
from seg.datasets.transforms.prompts import InteriorClickPrompts, RandomClickPrompts
from seg.datasets.transforms.results import rng_of

__all__ = [
    'ClipFlip',
    'InteriorClickPrompts',
    'PackClip',
    'RandomClickPrompts',
    'rng_of',
]
