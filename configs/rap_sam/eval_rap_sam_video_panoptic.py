"""Video panoptic quality (windows of 1, 2, 4 and 6 frames) and STQ on VIPSeg.

The model is that of ``eval_rap_sam_vipseg.py``, which scores whole videos as volumes.
"""

from mmengine.config import read_base

from seg.evaluation.metrics import StqMetric, VpqMetric

with read_base():
    from .eval_rap_sam_vipseg import *

val_evaluator = [dict(type=VpqMetric), dict(type=StqMetric)]
test_evaluator = val_evaluator
