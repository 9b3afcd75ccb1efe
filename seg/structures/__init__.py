"""Named data structures that travel through the package."""

from seg.structures.clip import ClipSample, PanopticData, Segment
from seg.structures.outputs import StageOutput
from seg.structures.prompt_geometry import resize_prompts
from seg.structures.prompts import PROMPT_KINDS, PointLabel, Prompts
from seg.structures.task import Task
from seg.structures.tracks import TrackData, Tube

__all__ = [
    'PROMPT_KINDS',
    'ClipSample',
    'PanopticData',
    'PointLabel',
    'Prompts',
    'Segment',
    'StageOutput',
    'Task',
    'TrackData',
    'Tube',
    'resize_prompts',
]
