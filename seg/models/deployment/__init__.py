"""What is done to a trained model before it is used at full speed."""

from seg.models.deployment.compiling import compile_parts
from seg.models.deployment.fusing import fuse
from seg.models.deployment.graphing import graph_features
from seg.models.deployment.packing import pack_weights
from seg.models.deployment.quantizing import quantize

__all__ = ['compile_parts', 'fuse', 'graph_features', 'pack_weights', 'quantize']
