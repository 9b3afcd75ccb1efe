"""What the demo does for each task; a task joins by registering itself in a module here."""

from seg.apis.demo_tasks.base import (
    DEMO_TASKS,
    DemoPicture,
    DemoRequest,
    DemoTask,
    demo_task,
    find_demo_task,
)
from seg.apis.demo_tasks.clips import InteractiveVideoDemo, VosDemo
from seg.apis.demo_tasks.concepts import ConceptsDemo
from seg.apis.demo_tasks.everything import EverythingDemo
from seg.apis.demo_tasks.interactive_image import InteractiveImageDemo
from seg.apis.demo_tasks.panoptic import PanopticDemo

__all__ = [
    'DEMO_TASKS',
    'ConceptsDemo',
    'DemoPicture',
    'DemoRequest',
    'DemoTask',
    'EverythingDemo',
    'InteractiveImageDemo',
    'InteractiveVideoDemo',
    'PanopticDemo',
    'VosDemo',
    'demo_task',
    'find_demo_task',
]
