"""SAM ViT-B with a frozen image encoder; the strategy of a config may say otherwise."""

from seg.models.detectors import SamSegmentor
from seg.models.peft import TrainDecoder

model = dict(
    type=SamSegmentor,
    variant='vit_b',
    strategy=dict(type=TrainDecoder),
    init_cfg=dict(type='Pretrained', checkpoint='models/sam/sam_vit_b_01ec64.pth'),
)
