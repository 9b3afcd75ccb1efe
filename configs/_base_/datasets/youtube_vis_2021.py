"""YouTube-VIS 2021: as 2019, with its files, whose annotations lie beside the frames."""

from mmengine.config import read_base

with read_base():
    from .youtube_vis_2019 import *

data_root = 'data/youtube_vis_2021/'

youtube_vis_train.update(
    ann_file=data_root + 'train/instances.json',
    img_dir=data_root + 'train/JPEGImages',
    dataset_name='youtube_vis_2021',
)
youtube_vis_val.update(
    ann_file=data_root + 'valid/instances.json',
    img_dir=data_root + 'valid/JPEGImages',
    dataset_name='youtube_vis_2021',
)
train_dataloader['dataset'] = youtube_vis_train
val_dataloader['dataset'] = youtube_vis_val
test_dataloader = val_dataloader
