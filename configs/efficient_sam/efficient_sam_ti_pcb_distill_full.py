"""EfficientSAM-Ti as a whole, taught by a fine-tuned S: masks, embeddings, blocks and decoder."""

from mmengine.config import read_base

with read_base():
    from .efficient_sam_ti_pcb_distill import *

from seg.models.losses import (
    BlockFeatureDistillation,
    EmbeddingDistillation,
    EncoderAttentionDistillation,
)
from seg.models.peft import TrainAll

model['student'].update(strategy=dict(type=TrainAll))
model['parts'] += [
    dict(type=EmbeddingDistillation, kind='both'),
    dict(type=BlockFeatureDistillation, blocks=[(5, 5), (11, 11)]),
    dict(type=EncoderAttentionDistillation, blocks=[(5, 5), (11, 11)]),
]
optim_wrapper.update(optimizer=dict(lr=2e-5))
