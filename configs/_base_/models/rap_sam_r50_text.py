"""RapSAM with ResNet-50 for every kind of prompt; the text tower of CLIP reads expressions.

Beside the published model: a matcher for expressions, three answers to an ambiguous click, and
masks that obey clicks.
"""

from mmengine.config import read_base

from seg.models.backbones import OpenCLIPBackboneText
from seg.models.heads import PromptAlignment
from seg.models.prompts import ClickKeeper, TextEncoder, TextMatcher

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
model['head']['prompt_encoder'].update(num_candidates=3, prompt_kinds=None)
model['head'].update(
    click_keeper=dict(type=ClickKeeper),
    text_matcher=dict(type=TextMatcher),
    prompt_alignment=dict(type=PromptAlignment),
)
