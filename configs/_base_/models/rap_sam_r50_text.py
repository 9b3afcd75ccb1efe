"""RapSAM with ResNet-50 whose prompts may be expressions, read by the text tower of CLIP."""

from mmengine.config import read_base

from seg.models.backbones import OpenCLIPBackboneText
from seg.models.prompts import TextEncoder

with read_base():
    from .rap_sam_r50 import *

model['head']['prompt_encoder']['fusion'].update(
    use_text_encoder=True,
    text_encoder=dict(
        type=TextEncoder,
        backbone=dict(
            type=OpenCLIPBackboneText,
            model_name='ViT-L-14',
            init_cfg=dict(type='clip_pretrain', checkpoint='openai'),
        ),
    ),
)
