"""Mean and cumulative IoU of every expression of RefCOCOg, of a RapSAM that understands text.

``test_dataloader.dataset.dataset.split`` may also be test.
"""

from mmengine.config import read_base

with read_base():
    from .._base_.datasets.refcocog import *
    from .eval_rap_sam_refcoco import *

val_dataloader['dataset']['dataset'] = refcocog_val
test_dataloader = val_dataloader
