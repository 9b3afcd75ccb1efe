"""RapSAM on the frozen image tower of OpenCLIP ConvNeXt-L, trained like the ResNet-50 model."""

from mmengine.config import read_base

from seg.models.backbones import OpenCLIPBackbone

with read_base():
    from .rap_sam_r50_12e_adaptor import *

# Assigned, as update() would merge with the settings of ResNet.
model['backbone'] = dict(
    type=OpenCLIPBackbone,
    model_name='convnext_large_d_320',
    frozen=True,
    init_cfg=dict(type='clip_pretrain', checkpoint='laion2b_s29b_b131k_ft_soup'),
)
model.update(
    # CLIP's own statistics, 0..255.
    data_preprocessor=dict(mean=(122.77, 116.75, 104.09), std=(68.50, 66.63, 70.32)),
    neck=dict(in_channels=(192, 384, 768, 1536)),
)
