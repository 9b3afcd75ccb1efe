"""Average precision on YouTube-VIS 2021, to ``outputs/youtube_vis_2021.zip``; as 2019 otherwise."""

from mmengine.config import read_base

with read_base():
    from .._base_.datasets.youtube_vis_2021 import *
    from .eval_rap_sam_yt19 import model, val_evaluator
    from ..default_runtime import *

train_dataloader = None
val_evaluator.update(outfile_prefix='outputs/youtube_vis_2021')
test_evaluator = val_evaluator
val_cfg = dict()
test_cfg = dict()
model['head']['classifier'].update(
    embedding_file='data/embeddings/convnext_large_d_320_youtube_vis_2021.safetensors'
)
