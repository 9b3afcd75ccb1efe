"""The decoder of ``sam_vitb_bdd100k_decoder.py`` with a box around every connected region."""

from mmengine.config import read_base

with read_base():
    from .sam_vitb_bdd100k_decoder import *

from seg.datasets.transforms import FixedSegmentPrompts, PackClip, SplitComponents, TestResize

region_pipeline = [
    dict(type=SplitComponents),
    dict(type=FixedSegmentPrompts, mode='box', min_area=64),
    dict(type=TestResize, scale=canvas),
    dict(type=PackClip),
]
val_dataloader.dataset.update(pipeline=region_pipeline)
test_dataloader.dataset.update(pipeline=region_pipeline)
val_evaluator.update(regime='instance_gt_box')
test_evaluator.update(regime='instance_gt_box')
default_hooks.update(checkpoint=dict(save_best='instance_gt_box/mIoU'))
