"""The kernel decoder: stages, query updates, pooling and task adapters."""

from seg.models.decoders.adapters import ObjectAdapter, PromptAdapter
from seg.models.decoders.convex_upsampler import ConvexUpsampler, FrameSharpener, Sharpen
from seg.models.decoders.decoder_stage import DecoderStage, StagePrediction
from seg.models.decoders.kernel_updater import KernelUpdater, ResidualKernelUpdater
from seg.models.decoders.mask_shape import MaskShapeEncoder
from seg.models.decoders.pooling import HardMaskSumPooling, SoftMaskMeanPooling, draw_masks

__all__ = [
    'ConvexUpsampler',
    'DecoderStage',
    'FrameSharpener',
    'HardMaskSumPooling',
    'KernelUpdater',
    'MaskShapeEncoder',
    'ObjectAdapter',
    'PromptAdapter',
    'ResidualKernelUpdater',
    'Sharpen',
    'SoftMaskMeanPooling',
    'StagePrediction',
    'draw_masks',
]
