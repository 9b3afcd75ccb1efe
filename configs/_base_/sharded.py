"""Read after default_runtime: the model is spread over processes instead of copied to each."""

from seg.engine.runner import FullyShardStrategy, ShardedRunner

runner_type = ShardedRunner
strategy = dict(type=FullyShardStrategy, modules=('backbone', 'neck'))
