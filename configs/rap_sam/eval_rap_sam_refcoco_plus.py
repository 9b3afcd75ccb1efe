"""Mean and cumulative IoU of every expression of RefCOCO+, of a RapSAM that understands text.

``test_dataloader.dataset.dataset.split`` may also be testA or testB.
"""

from mmengine.config import read_base

with read_base():
    from .._base_.datasets.refcoco_plus import *
    from .eval_rap_sam_refcoco import *

val_dataloader['dataset']['dataset'] = refcoco_plus_val
test_dataloader = val_dataloader
