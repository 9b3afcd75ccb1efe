"""The report card: a model scored on held-out Shapes, task by task, beside a trivial baseline."""

from seg.apis.report.base import ReportData, TaskReport
from seg.apis.report.evaluation import TaskResult, evaluate_task
from seg.apis.report.tasks import REPORT_TASKS, find_report_task

__all__ = [
    'REPORT_TASKS',
    'ReportData',
    'TaskReport',
    'TaskResult',
    'evaluate_task',
    'find_report_task',
]
