"""Steps of a pipeline over one dict per clip; see ``results.py`` for its keys."""

from seg.datasets.transforms.color import ClipColorJitter
from seg.datasets.transforms.crop import ClipRandomCrop, DropSmallSegments, FrameRandomCrop
from seg.datasets.transforms.flip import ClipFlip
from seg.datasets.transforms.packing import PackClip
from seg.datasets.transforms.prompts import InteriorClickPrompts, RandomClickPrompts
from seg.datasets.transforms.pseudo_clip import PseudoClip
from seg.datasets.transforms.resize import ClipRandomResize, ClipResize, TestResize
from seg.datasets.transforms.results import rng_of

__all__ = [
    'ClipColorJitter',
    'ClipFlip',
    'ClipRandomCrop',
    'ClipRandomResize',
    'ClipResize',
    'DropSmallSegments',
    'FrameRandomCrop',
    'InteriorClickPrompts',
    'PackClip',
    'PseudoClip',
    'RandomClickPrompts',
    'TestResize',
    'rng_of',
]
