"""Shapes: the procedural world that the package carries."""

from seg.datasets.shapes.palette import SHAPES_PALETTE, SHAPES_STUFF, SHAPES_THINGS
from seg.datasets.shapes.world import SHAPES_VERSIONS, ShapesSample, ShapesWorld

__all__ = [
    'SHAPES_PALETTE',
    'SHAPES_STUFF',
    'SHAPES_THINGS',
    'SHAPES_VERSIONS',
    'ShapesSample',
    'ShapesWorld',
]
