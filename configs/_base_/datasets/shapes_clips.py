"""Held-out clips of Shapes of 48 frames for evaluation: objects by their first masks.

``val_dataloader`` scores J and F over 50 clips. ``shapes_events`` with ``events_evaluator`` are 50
clips with a crossing or a full occlusion of at least 10 frames, in which ids are at stake; a
config that wants them gives them to its ``test_dataloader``.
"""

from mmengine.config import read_base

from seg.datasets import ShapesDataset, ShapesEventsDataset
from seg.datasets.transforms import AppearingMaskPrompts, PackClip
from seg.evaluation.metrics import DavisMetric, IdentityMetric

with read_base():
    from ..loaders import *

first_masks = [dict(type=AppearingMaskPrompts, min_area=40, num_things=8), dict(type=PackClip)]
shapes_clips = dict(
    type=ShapesDataset,
    task='vos',
    split='val',
    num_samples=50,
    num_frames=48,
    pipeline=first_masks,
)
shapes_events = dict(
    type=ShapesEventsDataset,
    task='vos',
    event='any',
    split='val',
    num_samples=50,
    num_frames=48,
    pipeline=first_masks,
)

val_dataloader['dataset'] = shapes_clips
test_dataloader = val_dataloader
val_evaluator = dict(type=DavisMetric)
test_evaluator = val_evaluator
events_evaluator = [dict(type=DavisMetric), dict(type=IdentityMetric)]
