"""What happens around training iterations and validation."""

from seg.engine.hooks.checkpoint_hook import SafeCheckpointHook
from seg.engine.hooks.learning_curve_hook import LearningCurveHook
from seg.engine.hooks.sampler_epoch_hook import SamplerEpochHook

__all__ = ['LearningCurveHook', 'SafeCheckpointHook', 'SamplerEpochHook']
