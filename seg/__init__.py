"""RapSAM: real-time segmentation of images and video for four tasks with one set of weights.

Importing this package is light on purpose: neither torch nor the OpenMMLab hosts are loaded
until a module that needs them is imported.
"""

__version__ = '0.1.0'

__all__ = ['__version__']
