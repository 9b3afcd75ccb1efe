"""Backbones that the hosts do not have."""

from seg.models.backbones.open_clip import OpenCLIPBackbone

__all__ = ['OpenCLIPBackbone']
