"""Running the models: the runner, hooks, and the checks of their configs."""

from seg.engine import hooks, runner

__all__ = ['hooks', 'runner']
