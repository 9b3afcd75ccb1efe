"""The report card: a model scored on held-out Shapes, task by task, beside a trivial baseline."""

from seg.apis.report.base import REPORT_TASKS, TaskReport, report_task
from seg.apis.report.evaluation import TaskResult, evaluate_task
from seg.apis.report.interactive_image import InteractiveImageReport
from seg.apis.report.panoptic import PanopticReport

__all__ = [
    'REPORT_TASKS',
    'InteractiveImageReport',
    'PanopticReport',
    'TaskReport',
    'TaskResult',
    'evaluate_task',
    'report_task',
]
