"""Backbones that the hosts do not have."""

from seg.models.backbones.open_clip import OpenCLIPBackbone
from seg.models.backbones.open_clip_text import OpenCLIPBackboneText

__all__ = ['OpenCLIPBackbone', 'OpenCLIPBackboneText']
