"""Steps of a pipeline over one dict per clip; see ``results.py`` for its keys."""

from seg.datasets.transforms.appearing_masks import AppearingMaskPrompts, AppearingPrompts
from seg.datasets.transforms.caching import AddImageKey, FixedViews
from seg.datasets.transforms.color import (
    ClipColorJitter,
    ClipMotionBlur,
    ClipPhotometricDistortion,
)
from seg.datasets.transforms.components import SplitComponents
from seg.datasets.transforms.concept_phrases import ConceptPhrases
from seg.datasets.transforms.copy_paste import CopyPaste
from seg.datasets.transforms.crop import ClipRandomCrop, DropSmallSegments, FrameRandomCrop
from seg.datasets.transforms.evaluation_prompts import EvaluationPrompts
from seg.datasets.transforms.first_masks import FirstMaskPrompts
from seg.datasets.transforms.flip import ClipFlip
from seg.datasets.transforms.jitter import LargeScaleJitter, PseudoClipJitter
from seg.datasets.transforms.packing import PackClip
from seg.datasets.transforms.prompts import InteriorClickPrompts, RandomClickPrompts
from seg.datasets.transforms.pseudo_clip import PseudoClip
from seg.datasets.transforms.resize import ClipRandomResize, ClipResize, TestResize
from seg.datasets.transforms.results import rng_of
from seg.datasets.transforms.segment_prompts import FixedSegmentPrompts, RandomSegmentPrompts
from seg.datasets.transforms.simulated_prompts import SimulatedPrompts

__all__ = [
    'AddImageKey',
    'AppearingMaskPrompts',
    'AppearingPrompts',
    'ClipColorJitter',
    'ClipFlip',
    'ClipMotionBlur',
    'ClipPhotometricDistortion',
    'ClipRandomCrop',
    'ClipRandomResize',
    'ClipResize',
    'ConceptPhrases',
    'CopyPaste',
    'DropSmallSegments',
    'EvaluationPrompts',
    'FirstMaskPrompts',
    'FixedSegmentPrompts',
    'FixedViews',
    'FrameRandomCrop',
    'InteriorClickPrompts',
    'LargeScaleJitter',
    'PackClip',
    'PseudoClip',
    'PseudoClipJitter',
    'RandomClickPrompts',
    'RandomSegmentPrompts',
    'SimulatedPrompts',
    'SplitComponents',
    'TestResize',
    'rng_of',
]
