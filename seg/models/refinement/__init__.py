"""Answers that refine each other."""

from seg.models.refinement.dpsr import DualPathRefinement, PathPrediction, mask_distance

__all__ = ['DualPathRefinement', 'PathPrediction', 'mask_distance']
