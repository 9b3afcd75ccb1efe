"""BDD100K with a box around every class that an image shows."""

from mmengine.config import read_base

from seg.datasets import BDD100KDataset
from seg.datasets.transforms import RandomSegmentPrompts
from seg.evaluation.metrics import SemanticIoUMetric

with read_base():
    from .prompt_folders import *

data_root = 'data/bdd100k/'

train_dataloader.update(batch_size=4)
val_dataloader.update(batch_size=4)
train_dataloader['dataset'].update(type=BDD100KDataset, root=data_root)
val_dataloader['dataset'].update(type=BDD100KDataset, root=data_root)
train_dataloader['dataset']['pipeline'][-2] = dict(
    type=RandomSegmentPrompts, mode='box', max_prompts=19
)
test_dataloader = val_dataloader
val_evaluator = dict(type=SemanticIoUMetric, regime='oracle_gt_box')
test_evaluator = val_evaluator
