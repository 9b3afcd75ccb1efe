"""All four tasks, texts included: what the embedded weights were trained with at last.

Objects are followed through videos from masks, clicks, boxes and words.

Goes on from weights of ``rap_sam_nano_prompts_shapes.py``: ``--cfg-options load_from=FILE``; the
memory is new and starts as an identity.
"""

from mmengine.config import read_base

from seg.datasets import ShapesDataset
from seg.datasets.transforms import (
    AppearingMaskPrompts,
    AppearingPrompts,
    ClipFlip,
    FirstMaskPrompts,
    PackClip,
    SimulatedPrompts,
    TestResize,
)
from seg.engine.hooks import CosineByProgressHook, TimeBudgetHook
from seg.evaluation.metrics import DavisMetric
from seg.models.heads import PanopticTracker
from seg.models.memory import StreamingMemoryAdapter
from seg.models.refinement import DualPathRefinement

with read_base():
    from .rap_sam_nano_prompts_shapes import *

model['head'].update(
    memory=dict(
        type=StreamingMemoryAdapter,
        long_mem_size=10,
        short_mem_size=5,
        update_strategy='adaptive',
        reader=dict(stride=2, key_channels=48, max_cells=512),
    ),
    dual_path=dict(type=DualPathRefinement),
    clip_schedule=dict(detach_every=3, truth_steps=300, correction_prob=0.5),
    correction_rounds=1,
    panoptic_tracker=dict(type=PanopticTracker),
)
model['head']['task_loss_weights'].update(
    vos=dict(
        cls=1.0,
        mask=4.0,
        dice=4.0,
        iou=1.0,
        dpsr=0.5,
        temporal=0.5,
        memory_align=0.2,
        object_score=1.0,
    ),
    interactive_video=dict(
        cls=1.0,
        mask=4.0,
        dice=4.0,
        iou=1.0,
        prompt_align=0.5,
        text_visual=1.0,
        dpsr=0.5,
        temporal=0.5,
        memory_align=0.2,
        object_score=1.0,
    ),
)

train_dataloader['batch_sampler'].update(
    task_batch_sizes=dict(vos=3, interactive_video=3),
)
train_dataloader['dataset'].update(
    ratios=dict(panoptic=2, interactive_image=2, vos=3, interactive_video=3)
)
train_dataloader['dataset']['sources'].update(
    vos=dict(
        type=ShapesDataset,
        task='vos',
        split='train',
        num_samples=1_000_000,
        num_frames=6,
        frame_gaps=(1, 9),
        occlusion_prob=0.75,
        pipeline=[
            dict(type=ClipFlip, prob=0.5),
            dict(type=FirstMaskPrompts, max_objects=6),
            dict(type=PackClip),
        ],
    ),
    interactive_video=dict(
        type=ShapesDataset,
        task='interactive_video',
        split='train',
        num_samples=1_000_000,
        num_frames=6,
        frame_gaps=(1, 9),
        occlusion_prob=0.75,
        pipeline=[
            dict(type=ClipFlip, prob=0.5),
            dict(type=SimulatedPrompts, num_prompts=5),
            dict(type=PackClip),
        ],
    ),
)

# Clips cost 24 images each: few of them, and every object from the frame that shows it on.
val_dataloader['dataset']['sources'].update(
    vos=dict(
        type=ShapesDataset,
        task='vos',
        split='val',
        num_samples=8,
        num_frames=24,
        pipeline=[
            dict(type=AppearingMaskPrompts, min_area=40, num_things=8),
            dict(type=TestResize, scale=(128, 160)),
            dict(type=PackClip),
        ],
    ),
    interactive_video=dict(
        type=ShapesDataset,
        task='interactive_video',
        split='val',
        num_samples=8,
        num_frames=24,
        pipeline=[
            dict(type=AppearingPrompts, kind='click', min_area=40, num_things=8),
            dict(type=TestResize, scale=(128, 160)),
            dict(type=PackClip),
        ],
    ),
)
val_evaluator['metrics'].update(
    vos=dict(type=DavisMetric),
    interactive_video=dict(type=DavisMetric, prefix='interactive_video'),
)
test_dataloader, test_evaluator = val_dataloader, val_evaluator
default_hooks['checkpoint']['save_best'] += ['davis/J&F', 'interactive_video/J&F']

optim_wrapper['optimizer'].update(lr=5e-4)
train_cfg = dict(by_epoch=False, max_iters=12000, val_interval=1000)
custom_hooks = [
    dict(type=TimeBudgetHook, minutes=110, measure='wall'),
    dict(type=CosineByProgressHook, warmup=0.02),
]
