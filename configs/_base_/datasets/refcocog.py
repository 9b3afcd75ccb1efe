"""RefCOCOg: an expression per object for training, all of them for evaluation; sizes are (H, W).

``refcocog_val['split']`` may also be test. Images are those of COCO train2014.
Training images are never cropped, as words such as "left" would lose their meaning.
"""

from mmengine.dataset import DefaultSampler

from seg.datasets import RefCocoDataset
from seg.datasets.samplers import TaskBatchSampler
from seg.datasets.transforms import (
    EvaluationPrompts,
    LargeScaleJitter,
    PackClip,
    SimulatedPrompts,
    TestResize,
)
from seg.evaluation.metrics import InteractiveMetric

data_root = 'data/refcoco/refcocog/'
image_root = 'data/coco/train2014'

refcocog_train = dict(
    type=RefCocoDataset,
    refs_file=data_root + 'refs(umd).p',
    ann_file=data_root + 'instances.json',
    img_dir=image_root,
    task='interactive_image',
    dataset_name='refcocog',
    split='train',
    pipeline=[
        dict(type=LargeScaleJitter, scale=(736, 1280), ratio_range=(0.5, 1.0), min_area=32),
        dict(type=SimulatedPrompts, num_prompts=12, kinds=dict(text=1.0)),
        dict(type=PackClip),
    ],
)
refcocog_val = dict(
    type=RefCocoDataset,
    refs_file=data_root + 'refs(umd).p',
    ann_file=data_root + 'instances.json',
    img_dir=image_root,
    task='interactive_image',
    dataset_name='refcocog',
    split='val',
    test_mode=True,
    pipeline=[
        dict(type=EvaluationPrompts, kinds=('text',)),
        dict(type=TestResize, scale=(800, 1333)),
        dict(type=PackClip),
    ],
)

train_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type=DefaultSampler, shuffle=True),
    batch_sampler=dict(type=TaskBatchSampler),
    dataset=refcocog_train,
)
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type=DefaultSampler, shuffle=False),
    dataset=refcocog_val,
)
test_dataloader = val_dataloader
val_evaluator = dict(type=InteractiveMetric)
test_evaluator = val_evaluator
