"""EfficientSAM-S on circuit boards: the teacher of ``efficient_sam_ti_pcb_distill*.py``."""

from mmengine.config import read_base

with read_base():
    from .efficient_sam_ti_pcb_standard import *

model.update(
    variant='vits',
    init_cfg=dict(type='Pretrained', checkpoint='models/efficient_sam/efficient_sam_vits.pt'),
)
custom_hooks = []  # its checkpoints are complete, as a teacher is loaded from one file
