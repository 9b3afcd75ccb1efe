"""Shapes: the procedural world that the package carries."""

from seg.datasets.shapes.expressions import SHAPES_VOCABULARY
from seg.datasets.shapes.other_sensor import as_other_sensor
from seg.datasets.shapes.palette import COLOR_NAMES as SHAPES_COLORS
from seg.datasets.shapes.palette import (
    SHAPES_CLASSES,
    SHAPES_PALETTE,
    SHAPES_STUFF,
    SHAPES_THINGS,
)
from seg.datasets.shapes.sample import ShapesAnnotations, ShapesSample
from seg.datasets.shapes.statistics import shapes_statistics
from seg.datasets.shapes.world import SHAPES_VERSIONS, ShapesWorld

__all__ = [
    'SHAPES_CLASSES',
    'SHAPES_COLORS',
    'SHAPES_PALETTE',
    'SHAPES_STUFF',
    'SHAPES_THINGS',
    'SHAPES_VERSIONS',
    'SHAPES_VOCABULARY',
    'ShapesAnnotations',
    'ShapesSample',
    'ShapesWorld',
    'as_other_sensor',
    'shapes_statistics',
]
