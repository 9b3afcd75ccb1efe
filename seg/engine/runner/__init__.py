"""The runners and what they train with."""

from seg.engine.runner.amp_optim_wrapper import MixedPrecisionOptimWrapper
from seg.engine.runner.exact_running import ExactRunning
from seg.engine.runner.layer_decay import LayerDecayConstructor
from seg.engine.runner.prompting_loops import PromptingTestLoop, PromptingValLoop
from seg.engine.runner.seg_runner import SegRunner
from seg.engine.runner.sharded_runner import ShardedRunner
from seg.engine.runner.sharding import FullyShardStrategy
from seg.engine.runner.train_loop import ResumableTrainLoop

__all__ = [
    'ExactRunning',
    'FullyShardStrategy',
    'LayerDecayConstructor',
    'MixedPrecisionOptimWrapper',
    'PromptingTestLoop',
    'PromptingValLoop',
    'ResumableTrainLoop',
    'SegRunner',
    'ShardedRunner',
]
