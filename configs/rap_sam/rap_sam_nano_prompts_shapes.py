"""Every kind of prompt for the small model: clicks and corrections, boxes, masks and words.

Goes on from weights of ``rap_sam_nano_shapes_long.py``: ``--cfg-options load_from=FILE``; what is
new starts as an identity.
"""

from mmengine.config import read_base

from seg.datasets.shapes import SHAPES_VOCABULARY
from seg.datasets.transforms import (
    ClipFlip,
    EvaluationPrompts,
    PackClip,
    SimulatedPrompts,
    TestResize,
)
from seg.engine.hooks import CosineByProgressHook, TimeBudgetHook
from seg.engine.runner import PromptingTestLoop, PromptingValLoop
from seg.evaluation.protocols import ClickProtocol
from seg.models.heads import PromptAlignment
from seg.models.prompts import (
    ClickKeeper,
    PromptFusion,
    TextMatcher,
    VocabularyTextEncoder,
)

with read_base():
    from .rap_sam_nano_quick_shapes import *

model['head']['semantic_auxiliary'].update(balance=0.25, alone_until=0.0)
model['head']['prompt_encoder'].update(
    num_candidates=3,
    fusion=dict(
        type=PromptFusion,
        num_heads=8,
        use_text_encoder=True,
        text_encoder=dict(
            type=VocabularyTextEncoder, vocabulary=SHAPES_VOCABULARY, embed_channels=96
        ),
    ),
)
model['head'].update(
    click_keeper=dict(type=ClickKeeper),
    text_matcher=dict(type=TextMatcher),
    prompt_alignment=dict(type=PromptAlignment),
    correction_rounds=2,
)
# Texts learn on every picture that has expressions; beside a pass of the decoder they cost little.
model['head']['task_loss_weights']['panoptic'].update(text_visual=1.0)
model['head']['task_loss_weights']['interactive_image'] = dict(
    cls=2.0, mask=4.0, dice=4.0, iou=1.0, prompt_align=0.5, text_visual=1.0
)
train_dataloader['dataset']['sources']['interactive_image']['pipeline'] = [
    dict(type=ClipFlip, prob=0.5),
    dict(type=SimulatedPrompts, num_prompts=5),
    dict(type=PackClip),
]
val_dataloader['dataset']['sources']['interactive_image']['pipeline'] = [
    dict(type=EvaluationPrompts),
    dict(type=TestResize, scale=(128, 160)),
    dict(type=PackClip),
]
test_dataloader = val_dataloader
val_cfg = dict(type=PromptingValLoop, protocol=dict(type=ClickProtocol, max_clicks=3))
test_cfg = dict(type=PromptingTestLoop, protocol=dict(type=ClickProtocol, max_clicks=20))

train_cfg = dict(by_epoch=False, max_iters=16000, val_interval=1000)
default_hooks.update(
    checkpoint=dict(
        interval=500,
        save_best=[
            'panoptic/PQ',
            'interactive/mIoU@1',
            'interactive/mIoU@3',
            'interactive/box_mIoU',
            'interactive/text_gIoU',
        ],
    )
)
custom_hooks = [
    dict(type=TimeBudgetHook, minutes=110, measure='wall'),
    dict(type=CosineByProgressHook, warmup=0.02),
]
