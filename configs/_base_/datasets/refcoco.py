"""RefCOCO: an expression per object for training, all of them for evaluation; sizes are (H, W).

``refcoco_val['split']`` may also be testA and testB. Images are those of COCO train2014.
Training images are never cropped, as words such as "left" would lose their meaning; where they are
mirrored, "left" and "right" change places.
"""

from mmengine.config import read_base

from seg.datasets import RefCocoDataset
from seg.datasets.transforms import (
    ClipFlip,
    EvaluationPrompts,
    LargeScaleJitter,
    PackClip,
    SimulatedPrompts,
    TestResize,
)
from seg.evaluation.metrics import InteractiveMetric

with read_base():
    from ..loaders import *

data_root = 'data/refcoco/refcoco/'
image_root = 'data/coco/train2014'

refcoco_train = dict(
    type=RefCocoDataset,
    refs_file=data_root + 'refs(unc).p',
    ann_file=data_root + 'instances.json',
    img_dir=image_root,
    task='interactive_image',
    dataset_name='refcoco',
    split='train',
    pipeline=[
        dict(type=ClipFlip, prob=0.5),
        dict(type=LargeScaleJitter, scale=(736, 1280), ratio_range=(0.5, 1.0), min_area=32),
        dict(type=SimulatedPrompts, num_prompts=12, kinds=dict(text=1.0)),
        dict(type=PackClip),
    ],
)
refcoco_val = dict(
    type=RefCocoDataset,
    refs_file=data_root + 'refs(unc).p',
    ann_file=data_root + 'instances.json',
    img_dir=image_root,
    task='interactive_image',
    dataset_name='refcoco',
    split='val',
    test_mode=True,
    pipeline=[
        dict(type=EvaluationPrompts, kinds=('text',)),
        dict(type=TestResize, scale=(800, 1333)),
        dict(type=PackClip),
    ],
)

train_dataloader['dataset'] = refcoco_train
val_dataloader['dataset'] = refcoco_val
test_dataloader = val_dataloader
val_evaluator = dict(type=InteractiveMetric)
test_evaluator = val_evaluator
