"""Shapes v1 for models that find all instances of a phrase: colours that are there, or not."""

from mmengine.config import read_base

from seg.datasets import ShapesColorsDataset
from seg.datasets.shapes import SHAPES_COLORS
from seg.datasets.transforms import ClipFlip, ClipResize, ConceptPhrases, PackClip, TestResize
from seg.evaluation.metrics import ConceptMetric, InstanceMetric

with read_base():
    from ..loaders import *

shapes_canvas = (64, 64)
asked_colors = (0, 3, 5, 8)  # red, green, blue, white

train_dataloader.update(batch_size=6, num_workers=1)
train_dataloader['dataset'] = dict(
    type=ShapesColorsDataset,
    task='interactive_image',
    split='train',
    num_samples=1_000_000,
    pipeline=[
        dict(type=ClipFlip, prob=0.5),
        dict(type=ClipResize, scale=shapes_canvas, keep_ratio=False),
        dict(
            type=ConceptPhrases,
            phrases=SHAPES_COLORS,
            max_present=2,
            num_absent=1,
            labels=asked_colors,
        ),
        dict(type=PackClip),
    ],
)
val_dataloader.update(batch_size=4, num_workers=1)
val_dataloader['dataset'] = dict(
    type=ShapesColorsDataset,
    task='interactive_image',
    split='val',
    num_samples=60,
    pipeline=[
        dict(type=ConceptPhrases, phrases=SHAPES_COLORS, labels=asked_colors),
        dict(type=TestResize, scale=shapes_canvas, keep_ratio=False),
        dict(type=PackClip),
    ],
)
test_dataloader = val_dataloader
val_evaluator = [
    dict(type=ConceptMetric),
    dict(type=InstanceMetric, iou_types=('segm',)),
]
test_evaluator = val_evaluator
