"""Stage 1: backbone and neck learn the features of a frozen teacher, without labels.

The teacher is the embedded model; any other is named with
``--cfg-options model.teacher.init_cfg.checkpoint=FILE``.
"""

from mmengine.config import read_base
from mmengine.optim import OptimWrapper
from torch.optim import AdamW

from seg.engine.hooks import CosineByProgressHook
from seg.models.detectors import Distiller, FeatureEmbedder
from seg.models.losses import EmbeddingDistillation

with read_base():
    from ..._base_.datasets.shapes import *
    from ..._base_.models.rap_sam_nano import *
    from ...default_runtime import *

model = dict(
    type=Distiller,
    student=dict(
        type=FeatureEmbedder,
        backbone=model['backbone'],
        neck=model['neck'],
        data_preprocessor=model['data_preprocessor'],
    ),
    teacher=dict(
        type=FeatureEmbedder,
        backbone=model['backbone'],
        neck=model['neck'],
        data_preprocessor=model['data_preprocessor'],
        init_cfg=dict(type='Pretrained', checkpoint='seg/assets/rap_sam_nano_shapes.safetensors'),
    ),
    parts=[dict(type=EmbeddingDistillation, kind='both')],
)

train_dataloader['dataset']['sources'].pop('interactive_image')
train_cfg = dict(by_epoch=False, max_iters=150)
val_dataloader, val_cfg, val_evaluator = None, None, None
test_dataloader, test_cfg, test_evaluator = None, None, None
optim_wrapper = dict(
    type=OptimWrapper,
    optimizer=dict(type=AdamW, lr=1e-3, weight_decay=0.05, fused=True),
    clip_grad=dict(max_norm=20.0),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
)
default_hooks.update(checkpoint=dict(interval=50))
custom_hooks = [dict(type=CosineByProgressHook, warmup=0.03)]
