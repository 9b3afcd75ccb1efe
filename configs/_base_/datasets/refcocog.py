"""RefCOCOg: as RefCOCO, with its files; ``refcoco_val['split']`` may also be test."""

from mmengine.config import read_base

with read_base():
    from .refcoco import *

data_root = 'data/refcoco/refcocog/'

files = dict(
    refs_file=data_root + 'refs(umd).p',
    ann_file=data_root + 'instances.json',
    dataset_name='refcocog',
)
refcoco_train.update(files)
refcoco_val.update(files)
train_dataloader['dataset'] = refcoco_train
val_dataloader['dataset'] = refcoco_val
test_dataloader = val_dataloader
