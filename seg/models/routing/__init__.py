"""Tasks to ways through the network, and tasks to loss weights."""

from seg.models.routing.loss_table import (
    DEFAULT_TASK_LOSS_WEIGHTS,
    LOSS_NAMES,
    SEED_TASK_LOSS_WEIGHTS,
    TaskLossTable,
    check_task_loss_weights,
)
from seg.models.routing.task_router import Route, TaskRouter, detect_task

__all__ = [
    'DEFAULT_TASK_LOSS_WEIGHTS',
    'LOSS_NAMES',
    'SEED_TASK_LOSS_WEIGHTS',
    'Route',
    'TaskLossTable',
    'TaskRouter',
    'check_task_loss_weights',
    'detect_task',
]
