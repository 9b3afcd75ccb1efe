"""From collated samples to the network's input."""

from seg.models.data_preprocessors.clip_preprocessor import ClipPreprocessor

__all__ = ['ClipPreprocessor']
