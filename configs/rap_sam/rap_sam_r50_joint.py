"""All four tasks, text included, on eight data sets with ResNet-50: 240 classes.

The classifier is made by ``tools/gen_cls.py --label-space`` with the ``label_space`` of this
config. Not trained yet; ``rap_sam_nano_shapes.py`` is the same at a small size.
"""

from mmengine.config import read_base

from seg.engine.runner import PromptingTestLoop, PromptingValLoop
from seg.evaluation.protocols import ClickProtocol
from seg.models.memory import StreamingMemoryAdapter
from seg.models.refinement import DualPathRefinement

with read_base():
    from .._base_.datasets.coco_panoptic_video_yt19_yt21_davis_vip_city_sam_ref import *
    from .._base_.models.rap_sam_r50_text import *
    from .._base_.schedules.schedule_12e import *
    from ..default_runtime import *

model['head'].update(
    num_things=139,
    num_stuff=101,
    memory=dict(
        type=StreamingMemoryAdapter, long_mem_size=10, short_mem_size=5, update_strategy='adaptive'
    ),
    dual_path=dict(type=DualPathRefinement),
    correction_rounds=1,
)
model['head']['classifier'].update(
    embedding_file='data/embeddings/convnext_large_d_320_joint_240.safetensors'
)
clip_losses = dict(
    mask=5.0, dice=5.0, iou=10.0, dpsr=0.5, temporal=0.5, memory_align=0.2, object_score=1.0
)
prompt_losses = dict(prompt_align=0.5, text_visual=1.0)
model['head']['task_loss_weights']['interactive_image'].update(prompt_losses)
model['head']['task_loss_weights'].update(
    vos=clip_losses, interactive_video={**clip_losses, **prompt_losses}
)
val_cfg = dict(type=PromptingValLoop, protocol=dict(type=ClickProtocol, max_clicks=3))
test_cfg = dict(type=PromptingTestLoop, protocol=dict(type=ClickProtocol, max_clicks=20))
default_hooks.update(
    checkpoint=dict(
        interval=14_786,
        save_best=['panoptic/PQ', 'interactive/mIoU@1', 'interactive/text_gIoU', 'davis/J&F'],
    )
)
