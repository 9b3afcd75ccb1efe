"""A RapSAM of a few thousand parameters and toy samples for it."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.config import Config
from mmengine.structures import InstanceData
from torch import Tensor

from seg.registry import MODELS
from seg.structures import ClipSample, Prompts, Task

NUM_THINGS, NUM_STUFF = 3, 2


def tiny_rapsam_cfg(*, faithful: bool = True, num_mask_tokens: int = 1) -> dict[str, Any]:
    """Config of a tiny model.

    Args:
        faithful: The parts of the published model; otherwise those for training from scratch.
        num_mask_tokens: Candidate masks per prompted object.
    """
    updater = 'KernelUpdater' if faithful else 'ResidualKernelUpdater'
    pooling = 'HardMaskSumPooling' if faithful else 'SoftMaskMeanPooling'
    update = dict(updater=dict(type=updater), pooling=dict(type=pooling))
    classifier = (
        dict(type='TextEmbeddingClassifier', temperature=0.1)
        if faithful
        else dict(type='LinearClassifier')
    )
    up_block = 'DeformUpBlock' if faithful else 'ConvUpBlock'
    return dict(
        type='RapSAM',
        data_preprocessor=dict(type='ClipPreprocessor', pad_divisor=32),
        backbone=dict(type='mmdet.ResNet', depth=18, base_channels=8, norm_eval=True),
        neck=dict(
            type='YOSONeck',
            in_channels=(8, 16, 32, 64),
            lateral_channels=(8, 8, 16, 16),
            agg_channels=8,
            feat_channels=16,
            up_block=dict(type=up_block),
            context=not faithful,
        ),
        head=dict(
            type='RapSAMVideoHead',
            num_things=NUM_THINGS,
            num_stuff=NUM_STUFF,
            feat_channels=16,
            num_queries=6,
            num_stages=2,
            embed_channels=12,
            stage=dict(
                type='DecoderStage',
                num_heads=2,
                ffn_channels=24,
                context_attention=not faithful,
                **update,
            ),
            object_adapter=dict(type='ObjectAdapter', **update),
            prompt_adapter=dict(type='PromptAdapter', num_heads=2),
            prompt_encoder=dict(type='PromptEncoder', num_mask_tokens=num_mask_tokens),
            classifier=classifier,
            criterion=dict(
                type='SegmentCriterion', sampling=dict(type='PointSampling', num_points=64)
            ),
        ),
    )


def model_for_programs(cfg: dict[str, Any], scale: tuple[int, int] = (64, 96)) -> Any:
    """A built model with what programs ask of one that was loaded.

    Args:
        cfg: Of the model.
        scale: Size that images are brought to.
    """
    torch.manual_seed(0)
    model: Any = MODELS.build(cfg).eval()
    pipeline = [dict(type='TestResize', scale=scale), dict(type='PackClip')]
    model.cfg = Config(dict(test_dataloader=dict(dataset=dict(pipeline=pipeline))))
    model.entry = None
    model.dataset_meta = {'classes': tuple('abcde'), 'num_things': NUM_THINGS}
    return model


TOY_WORDS = ('left', 'middle', 'right', 'bar')


def tiny_prompted_cfg(**head_settings: Any) -> dict[str, Any]:
    """Config of a tiny model that takes every kind of prompt.

    Args:
        head_settings: Changes to the head.
    """
    cfg = tiny_rapsam_cfg(faithful=False)
    text_encoder = dict(
        type='VocabularyTextEncoder',
        vocabulary=TOY_WORDS,
        embed_channels=8,
        num_layers=1,
        num_heads=2,
    )
    cfg['head'].update(
        prompt_encoder=dict(
            type='PromptEncoder',
            num_candidates=3,
            seed_from_features=True,
            window_radius=2.0,
            fusion=dict(num_heads=2, use_text_encoder=True, text_encoder=text_encoder),
        ),
        prompt_refiner=dict(type='MaskRefiner', hidden_channels=4),
        mask_upsampler=dict(type='ConvexUpsampler', hidden_channels=4),
        text_matcher=dict(type='TextMatcher', num_heads=2, num_layers=1),
        prompt_alignment=dict(type='PromptAlignment'),
        **head_settings,
    )
    return cfg


def toy_sample(
    task: str | Task,
    *,
    size: tuple[int, int] = (64, 64),
    num_segments: int = 3,
    num_prompts: int | None = None,
    num_frames: int = 1,
    seed: int = 0,
) -> tuple[Tensor, ClipSample]:
    """Noise with vertical bars as segments, one click in the middle of each of the first ones.

    Args:
        task: Task that the sample declares.
        size: Height and width.
        num_segments: Bars; their labels count up through the classes.
        num_prompts: Clicks, on the first bars; one per bar when left out.
        num_frames: Frames T.
        seed: Seed of the noise.

    Returns:
        A clip (T, 3, H, W), uint8, and its sample, with ground truth at the size of the clip.
    """
    height, width = size
    noise = torch.Generator().manual_seed(seed)
    clip = torch.randint(0, 256, (num_frames, 3, height, width), generator=noise).byte()
    masks = torch.zeros(num_segments, num_frames, height, width, dtype=torch.bool)
    edges = torch.linspace(0, width, num_segments + 1).long()
    for i in range(num_segments):
        masks[i, ..., edges[i] : edges[i + 1]] = True
    sample = ClipSample(
        metainfo=dict(task=Task.parse(task), img_shape=size, ori_shape=size, img_id=seed)
    )
    sample.gt_segments = InstanceData(
        masks=masks,
        labels=torch.arange(num_segments) % (NUM_THINGS + NUM_STUFF),
        object_ids=torch.arange(1, num_segments + 1),
        is_crowd=torch.zeros(num_segments, dtype=torch.bool),
    )
    count = num_segments if num_prompts is None else num_prompts
    middles = (edges[:count] + edges[1 : count + 1]).float() / 2
    points = torch.stack([middles, torch.full_like(middles, height / 2)], dim=-1)
    sample.prompts = Prompts.create(points=points[:, None])
    sample.prompt_targets = torch.arange(count)
    return clip, sample


def tiny_video_cfg(**head_settings: Any) -> dict[str, Any]:
    """Config of a tiny model that follows objects through videos.

    Args:
        head_settings: Changes to the head.
    """
    memory = dict(
        type='StreamingMemoryAdapter',
        long_mem_size=2,
        short_mem_size=2,
        reader=dict(stride=2, key_channels=8, local_radius=2),
        objects=dict(num_heads=2),
    )
    settings = dict(memory=memory, dual_path=dict(type='DualPathRefinement'))
    return tiny_prompted_cfg(**{**settings, **head_settings})
