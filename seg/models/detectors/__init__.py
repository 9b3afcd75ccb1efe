"""Detectors."""

from seg.models.detectors.rapsam import ClipFeatures, RapSAM

__all__ = ['ClipFeatures', 'RapSAM']
