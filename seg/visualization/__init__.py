"""Pictures of what was annotated and predicted."""

from seg.visualization.contact_sheet import contact_sheet
from seg.visualization.palettes import class_color, class_palette, id_color
from seg.visualization.picture_file import write_picture
from seg.visualization.segment_visualizer import SegmentVisualizer

__all__ = [
    'SegmentVisualizer',
    'class_color',
    'class_palette',
    'contact_sheet',
    'id_color',
    'write_picture',
]
