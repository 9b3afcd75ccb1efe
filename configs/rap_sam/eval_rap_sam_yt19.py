"""Average precision on YouTube-VIS 2019 of a RapSAM with ResNet-50 that classifies by text.

The annotations of ``valid.json`` are not public: the results are written for the evaluation server
to ``outputs/youtube_vis_2019.zip``. With annotations of your own, score them by
``--cfg-options test_evaluator.format_only=False``.
"""

from mmengine.config import read_base

from seg.evaluation.metrics import YoutubeVisMetric

with read_base():
    from .._base_.datasets.youtube_vis_2019 import *
    from .._base_.models.rap_sam_r50 import *
    from ..default_runtime import *

train_dataloader = None
val_evaluator = dict(
    type=YoutubeVisMetric, format_only=True, outfile_prefix='outputs/youtube_vis_2019'
)
test_evaluator = val_evaluator
val_cfg = dict()
test_cfg = dict()
model.update(
    head=dict(
        num_things=40,
        num_stuff=0,
        classifier=dict(
            embedding_file='data/embeddings/convnext_large_d_320_youtube_vis_2019.safetensors'
        ),
    )
)
