"""Everything together: images and videos of eight data sets, all four tasks, 240 classes.

Panoptic on COCO, YouTube-VIS 2019 and 2021, VIPSeg and Cityscapes; clicks on COCO, prompts of all
kinds on SA-1B, expressions of RefCOCO; first-frame masks on DAVIS; prompts on videos of
YouTube-VIS 2021. A batch comes from one source, and the ratios say how often from which. The
COCO images on which expressions are scored are left out.
"""

from mmengine.config import read_base

from seg.datasets import JointLabels, MixedDataset
from seg.datasets.transforms import ClipFlip, LargeScaleJitter, PackClip, SimulatedPrompts
from seg.evaluation.metrics import DavisMetric, InteractiveMetric, PanopticMetric, TaskEvaluator

with read_base():
    from .cityscapes import cityscapes_train
    from .coco_refcoco import *
    from .davis import davis_train, davis_val
    from .refcoco import refcoco_val
    from .sa1b import sa1b_train
    from .vipseg import vipseg_train
    from .youtube_vis_2019 import youtube_vis_train as youtube_vis_2019_train
    from .youtube_vis_2021 import youtube_vis_train as youtube_vis_2021_train

label_space = 'coco_panoptic+youtube_vis_2019+youtube_vis_2021+vipseg+cityscapes'
prompted_clips_train = dict(
    youtube_vis_2021_train,
    task='interactive_video',
    pipeline=[
        dict(type=ClipFlip, prob=0.5),
        dict(type=LargeScaleJitter, scale=(736, 1280), ratio_range=(0.8, 2.0)),
        dict(type=SimulatedPrompts, num_prompts=10, kinds=dict(click=0.6, box=0.4)),
        dict(type=PackClip),
    ],
)

train_dataloader['dataset'] = dict(
    type=MixedDataset,
    sources=dict(
        coco=dict(type=JointLabels, dataset=coco_panoptic_train, label_space=label_space),
        yt19=dict(type=JointLabels, dataset=youtube_vis_2019_train, label_space=label_space),
        yt21=dict(type=JointLabels, dataset=youtube_vis_2021_train, label_space=label_space),
        davis=dict(type=JointLabels, dataset=davis_train, label_space=label_space),
        vip=dict(type=JointLabels, dataset=vipseg_train, label_space=label_space),
        city=dict(type=JointLabels, dataset=cityscapes_train, label_space=label_space),
        points=dict(type=JointLabels, dataset=coco_interactive_train, label_space=label_space),
        sam=dict(type=JointLabels, dataset=sa1b_train, label_space=label_space),
        ref=dict(type=JointLabels, dataset=refcoco_train, label_space=label_space),
        prompted_clips=dict(
            type=JointLabels, dataset=prompted_clips_train, label_space=label_space
        ),
    ),
    ratios=dict(
        coco=4,
        yt19=1,
        yt21=2,
        davis=2,
        vip=2,
        city=1,
        points=2,
        sam=2,
        ref=2,
        prompted_clips=2,
    ),
)
val_dataloader['dataset'] = dict(
    type=MixedDataset,
    sources=dict(
        coco=dict(type=JointLabels, dataset=coco_panoptic_val, label_space=label_space),
        points=dict(type=JointLabels, dataset=coco_interactive_val, label_space=label_space),
        ref=dict(type=JointLabels, dataset=refcoco_val, label_space=label_space),
        davis=dict(type=JointLabels, dataset=davis_val, label_space=label_space),
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(
    type=TaskEvaluator,
    metrics=dict(
        panoptic=dict(type=PanopticMetric),
        interactive_image=dict(type=InteractiveMetric),
        vos=dict(type=DavisMetric),
    ),
)
test_evaluator = val_evaluator
