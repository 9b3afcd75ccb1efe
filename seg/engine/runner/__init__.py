"""The runner and what it trains with."""

from seg.engine.runner.amp_optim_wrapper import MixedPrecisionOptimWrapper
from seg.engine.runner.seg_runner import SegRunner
from seg.engine.runner.train_loop import ResumableTrainLoop

__all__ = ['MixedPrecisionOptimWrapper', 'ResumableTrainLoop', 'SegRunner']
