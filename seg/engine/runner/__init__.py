"""The runner and what it trains with."""

from seg.engine.runner.amp_optim_wrapper import MixedPrecisionOptimWrapper
from seg.engine.runner.prompting_loops import PromptingTestLoop, PromptingValLoop
from seg.engine.runner.seg_runner import SegRunner
from seg.engine.runner.train_loop import ResumableTrainLoop

__all__ = [
    'MixedPrecisionOptimWrapper',
    'PromptingTestLoop',
    'PromptingValLoop',
    'ResumableTrainLoop',
    'SegRunner',
]
