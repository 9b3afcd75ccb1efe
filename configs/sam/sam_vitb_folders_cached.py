"""SAM ViT-B on folders, with the embeddings of four fixed views per image kept on disk."""

from mmengine.config import read_base

with read_base():
    from .sam_vitb_folders_decoder import *

from seg.datasets.transforms import (
    AddImageKey,
    ClipColorJitter,
    ClipFlip,
    ClipResize,
    FixedSegmentPrompts,
    FixedViews,
    PackClip,
    RandomSegmentPrompts,
    TestResize,
)
from seg.models.detectors import EmbeddingCache

model.update(embedding_cache=dict(type=EmbeddingCache, folder='cache/sam_embeddings'))
train_dataloader.dataset.update(
    pipeline=[
        dict(
            type=FixedViews,
            num_views=4,
            transforms=[dict(type=ClipFlip, prob=0.5), dict(type=ClipColorJitter)],
        ),
        dict(type=ClipResize, scale=canvas),
        dict(type=AddImageKey),
        dict(type=RandomSegmentPrompts, mode='mixed', max_prompts=8),
        dict(type=PackClip, meta_keys=('image_key',)),
    ]
)
val_dataloader.dataset.update(
    pipeline=[
        dict(type=FixedSegmentPrompts, mode='box'),
        dict(type=TestResize, scale=canvas),
        dict(type=AddImageKey),
        dict(type=PackClip, meta_keys=('image_key',)),
    ]
)
test_dataloader.dataset.update(pipeline=val_dataloader['dataset']['pipeline'])
