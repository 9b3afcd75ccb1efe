"""Necks."""

from seg.models.necks.appearance import AppearanceSkip
from seg.models.necks.yoso_neck import ConvUpBlock, DeformUpBlock, NeckOutput, YOSONeck

__all__ = ['AppearanceSkip', 'ConvUpBlock', 'DeformUpBlock', 'NeckOutput', 'YOSONeck']
