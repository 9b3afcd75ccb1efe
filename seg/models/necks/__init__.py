"""Necks."""

from seg.models.necks.yoso_neck import ConvUpBlock, DeformUpBlock, NeckOutput, YOSONeck

__all__ = ['ConvUpBlock', 'DeformUpBlock', 'NeckOutput', 'YOSONeck']
