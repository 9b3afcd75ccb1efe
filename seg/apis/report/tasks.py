"""The report card's table of sections."""

from __future__ import annotations

from seg.apis.report.base import TaskReport
from seg.apis.report.interactive_image import InteractiveImageReport
from seg.apis.report.interactive_video import InteractiveVideoReport
from seg.apis.report.panoptic import PanopticReport
from seg.apis.report.panoptic_clips import VideoPanopticReport, VisReport
from seg.apis.report.vos import IdentityReport, VosReport
from seg.utils.checks import UserError, unknown_name_message

_SECTIONS: tuple[TaskReport, ...] = (
    PanopticReport(),
    InteractiveImageReport(),
    VosReport(),
    InteractiveVideoReport(),
    VisReport(),
    VideoPanopticReport(),
    IdentityReport(),
)

REPORT_TASKS = {report.name: report for report in _SECTIONS}
"""Sections by name, in the order of the card."""


def find_report_task(name: str) -> TaskReport:
    """The section of that name.

    Raises:
        UserError: If there is none.
    """
    if name not in REPORT_TASKS:
        raise UserError(unknown_name_message('task', name, list(REPORT_TASKS)))
    return REPORT_TASKS[name]
