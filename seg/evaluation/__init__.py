"""Evaluation: pure NumPy functions and the metrics that feed them.

Importing this package is light; the metrics register themselves in ``seg.evaluation.metrics``.
"""
