"""Tasks to ways through the network, and tasks to loss weights."""

from seg.models.routing.loss_table import DEFAULT_TASK_LOSS_WEIGHTS, TaskLossTable
from seg.models.routing.task_router import Route, TaskRouter

__all__ = ['DEFAULT_TASK_LOSS_WEIGHTS', 'Route', 'TaskLossTable', 'TaskRouter']
