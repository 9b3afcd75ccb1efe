"""Annotation of images and videos without a page: sessions, following, files of other tools."""

from seg.apis.annotation.formats import (
    FORMATS,
    MediaRecord,
    ObjectRecord,
    export_annotations,
    from_detections,
    import_annotations,
    to_detections,
)
from seg.apis.annotation.item import AnnotatedItem, Timeline
from seg.apis.annotation.media import Media
from seg.apis.annotation.model import AnnotationModel
from seg.apis.annotation.propagation import Progress, Propagation
from seg.apis.annotation.session import AnnotationSession
from seg.apis.annotation.state import AnnotatedObject, Click, FrameMask, FramePrompts, Origin

__all__ = [
    'FORMATS',
    'AnnotatedItem',
    'AnnotatedObject',
    'AnnotationModel',
    'AnnotationSession',
    'Click',
    'FrameMask',
    'FramePrompts',
    'Media',
    'MediaRecord',
    'ObjectRecord',
    'Origin',
    'Progress',
    'Propagation',
    'Timeline',
    'export_annotations',
    'from_detections',
    'import_annotations',
    'to_detections',
]
