"""ViT-B learns to see the images of folders as ViT-H does; no labels are used in training.

The embeddings of the teacher are computed once per view and kept on disk.
"""

from mmengine.config import read_base

with read_base():
    from .sam_vitb_folders_cached import *

from seg.models.detectors import Distiller, EmbeddingCache, SamSegmentor
from seg.models.losses import EmbeddingDistillation
from seg.models.peft import TrainAll

model = dict(
    type=Distiller,
    student=dict(
        type=SamSegmentor,
        variant='vit_b',
        strategy=dict(type=TrainAll),
        init_cfg=dict(type='Pretrained', checkpoint='models/sam/sam_vit_b_01ec64.pth'),
    ),
    teacher=dict(
        type=SamSegmentor,
        variant='vit_h',
        init_cfg=dict(type='Pretrained', checkpoint='models/sam/sam_vit_h_4b8939.pth'),
    ),
    parts=[dict(type=EmbeddingDistillation, kind='both')],
    cache=dict(type=EmbeddingCache, folder='cache/sam_vith_embeddings'),
)
custom_hooks = []
