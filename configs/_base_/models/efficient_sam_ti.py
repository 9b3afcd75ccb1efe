"""EfficientSAM-Ti with frozen encoders: the mask decoder is trained, for boxes."""

from seg.models.detectors import EfficientSamSegmentor
from seg.models.losses import BoundaryBandLoss, MaskDiceLoss, MaskFocalLoss, MaskSoftIoULoss
from seg.models.peft import TrainDecoder

model = dict(
    type=EfficientSamSegmentor,
    variant='vitt',
    strategy=dict(type=TrainDecoder, prompt_encoder=False),
    criterion=dict(
        mask_losses=[
            dict(type=MaskFocalLoss, weight=20.0),
            dict(type=MaskDiceLoss, weight=1.0),
            dict(type=MaskSoftIoULoss, weight=1.0),
            dict(type=BoundaryBandLoss, weight=0.5),
        ],
        iou_weight=1.0,
    ),
    init_cfg=dict(type='Pretrained', checkpoint='models/efficient_sam/efficient_sam_vitt.pt'),
)
