"""The mixture of the public model: COCO panoptic, YouTube-VIS 2019, and clicks on COCO.

155 classes, of which a data set teaches those that it annotates. The public training repeats the
2,238 videos 25 times beside 118,287 images twice, which is about one batch of videos for two of
images and two of clicks.
"""

from mmengine.config import read_base

from seg.datasets import JointLabels, MixedDataset

with read_base():
    from .coco_panoptic_interactive import *
    from .youtube_vis_2019 import youtube_vis_train as youtube_vis_2019_train

label_space = 'coco_panoptic+youtube_vis_2019'

train_dataloader['dataset'] = dict(
    type=MixedDataset,
    sources=dict(
        coco=dict(type=JointLabels, dataset=coco_panoptic_train, label_space=label_space),
        yt19=dict(type=JointLabels, dataset=youtube_vis_2019_train, label_space=label_space),
        points=dict(type=JointLabels, dataset=coco_interactive_train, label_space=label_space),
    ),
    ratios=dict(coco=2, yt19=1, points=2),
)
val_dataloader['dataset'] = dict(
    type=MixedDataset,
    sources=dict(
        coco=dict(type=JointLabels, dataset=coco_panoptic_val, label_space=label_space),
        points=dict(type=JointLabels, dataset=coco_interactive_val, label_space=label_space),
    ),
)
test_dataloader = val_dataloader
