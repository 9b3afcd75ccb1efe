"""Other models on the same frames, with random weights, which cost what trained ones cost."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from seg.benchmark.meters import Part
from seg.benchmark.plain_fusion import INSTANCE_OFFSET, plain_panoptic
from seg.benchmark.plain_rapsam import PlainRapSAM
from seg.benchmark.workloads import (
    Workload,
    interactive_workload,
    threshold_for,
)
from seg.registry import MODELS
from seg.utils.checks import UserError
from seg.utils.devices import device_of
from seg.utils.drawn_frames import draw_frame
from seg.utils.public_names import RAPSAM_PUBLIC_NAMES

Size = tuple[int, int]

_NO_REFERENCE = (
    'the plain reference: expected a model of the published parts, got one without {}; use '
    'configs/rap_sam/rap_sam_r50_12e_adaptor.py, and do not fuse it before'
)


def plain_like(model: Any, depth: int) -> PlainRapSAM:
    """The plain baseline with the weights of a published-style RapSAM."""
    ours = model.state_dict()
    prototypes = ours.get('head.classifier.prototypes')
    if prototypes is None:
        raise UserError(_NO_REFERENCE.format('head.classifier.prototypes'))
    num_queries = model.head.object_queries.num_embeddings
    plain = PlainRapSAM(depth, num_queries, prototypes.shape[-1], prototypes.clone())
    plain = plain.to(prototypes.device)
    names = {name: RAPSAM_PUBLIC_NAMES.rename(name) for name in plain.state_dict()}
    missing = [name for name in names.values() if name not in ours]
    if missing:
        raise UserError(_NO_REFERENCE.format(missing[0]))
    plain.load_state_dict({name: ours[own] for name, own in names.items()})
    return plain.eval().requires_grad_(False)


def reference_workload(plain: PlainRapSAM, size: Size, num_things: int, num_kept: int) -> Workload:
    """The published arithmetic, step by step."""
    device = device_of(plain)
    frames = [_pixels(draw_frame(i, 4, size)[0]) for i in range(4)]
    canvas = (-(-size[0] // 32) * 32, -(-size[1] // 32) * 32)
    with torch.inference_mode():
        logits = plain(plain.preprocess(frames[0].to(device)))[-1].class_logits[0]
    threshold = threshold_for(logits, num_kept)
    fusion = _Fusion()

    def step(index: int) -> Tensor:
        output = plain(plain.preprocess(frames[index % 4].to(device)))[-1]
        result = fusion.assemble(
            output.class_logits[0],
            output.mask_logits[0],
            num_things=num_things,
            canvas=canvas,
            img_shape=size,
            ori_shape=size,
            object_mask_thr=threshold,
            iou_thr=0.0,
        )
        values = result.unique()
        kept = values[values % INSTANCE_OFFSET < logits.shape[-1] - 1]
        return result == kept[:, None, None]

    parts = [
        Part('preprocess', plain, 'preprocess'),
        Part('neck', plain.neck, 'forward'),
        Part('decoder', plain.panoptic_head, 'forward'),
        Part('backbone', plain, 'extract'),  # less the neck inside it
    ]
    return Workload('plain reference', step, parts)


class _Fusion:
    assemble = staticmethod(plain_panoptic)


def mask2former_workload(
    size: Size, backbone: dict[str, Any], num_kept: int, device: torch.device
) -> Workload:
    """Mask2Former of mmdet on the same backbone, panoptic.

    Args:
        size: (H, W).
        backbone: Settings of a ResNet.
        num_kept: Queries that become segments, whatever the weights say.
        device: Where.

    Raises:
        UserError: If the backbone is no ResNet.
    """
    from mmdet.structures import DetDataSample
    from mmengine.config import Config
    from mmengine.hub import get_config

    config: Config = get_config('mmdet::mask2former/mask2former_r50_8xb2-lsj-50e_coco-panoptic.py')
    settings = config.model
    settings.backbone = {**backbone, 'type': _resnet_type(backbone), 'init_cfg': None}
    widest = 1 if backbone['depth'] < 50 else 4
    width = widest * backbone.get('base_channels', 64)
    settings.panoptic_head.in_channels = [width * 2**level for level in range(4)]
    settings.test_cfg.instance_on = False
    settings['_scope_'] = 'mmdet'  # its parts are named without it
    model = MODELS.build(settings).to(device).requires_grad_(False)
    model.eval()
    frames = [_pixels(draw_frame(i, 4, size)[0]) for i in range(4)]

    def batch(index: int) -> dict[str, Any]:
        shapes = dict(img_shape=size, ori_shape=size, scale_factor=(1.0, 1.0))
        sample = DetDataSample(metainfo=shapes)
        return dict(inputs=[frames[index % 4]], data_samples=[sample])

    with torch.inference_mode():
        data = model.data_preprocessor(batch(0), False)
        feats = model.extract_feat(data['inputs'])
        class_logits, _ = model.panoptic_head.predict(feats, data['data_samples'])
    threshold = threshold_for(class_logits[0], num_kept)
    model.panoptic_fusion_head.test_cfg.update(object_mask_thr=threshold, iou_thr=0.0)

    def step(index: int) -> Tensor:
        (found,) = model.test_step(batch(index))
        result = found.pred_panoptic_seg.sem_seg[0]
        return result == result.unique()[:, None, None]

    parts = [
        Part('preprocess', model.data_preprocessor, 'forward'),
        Part('backbone', model.backbone, 'forward'),
        Part('neck', model.panoptic_head.pixel_decoder, 'forward'),
        Part('decoder', model.panoptic_head, 'forward'),
    ]
    return Workload('Mask2Former', step, parts, note='panoptic, mmdet')


def _resnet_type(backbone: dict[str, Any]) -> str:
    kind = backbone['type']
    name = kind if isinstance(kind, str) else kind.__name__
    if name.rpartition('.')[2] != 'ResNet':
        raise UserError(
            f'--compare mask2former: expected a config with a ResNet, got {name}; leave it out'
        )
    return 'mmdet.ResNet'


def sam2_workload(size: Size, num_objects: int, device: torch.device) -> Workload:
    """SAM 2 tiny of transformers: encode a frame at 1024x1024 and answer clicks."""
    if importlib.util.find_spec('transformers') is None:
        raise UserError(
            "--compare sam2_tiny: expected transformers to be installed; pip install 'rapsam[sam3]'"
        )
    from transformers import Sam2Config, Sam2Model

    config = Sam2Config()  # its default vision settings are those of the tiny model
    model: Any = Sam2Model(config)
    model = model.to(device).requires_grad_(False).eval()
    images = [_pixels(draw_frame(i, num_objects, size)[0]) for i in range(4)]
    frames = _Sam2Inputs()
    points = torch.full((1, num_objects, 1, 2), 512.0, device=device)
    labels = torch.ones(1, num_objects, 1, dtype=torch.int32, device=device)

    def step(index: int) -> Tensor:
        answer = model(
            pixel_values=frames.preprocess(images[index % 4].to(device)),
            input_points=points,
            input_labels=labels,
            multimask_output=False,
        )
        logits = answer.pred_masks.flatten(0, 1)
        return F.interpolate(logits, size, mode='bilinear', align_corners=False) > 0

    parts = [
        Part('preprocess', frames, 'preprocess'),
        Part('backbone', model.vision_encoder, 'forward'),
        Part('decoder', model.prompt_encoder, 'forward'),
        Part('decoder', model.mask_decoder, 'forward'),
    ]
    return Workload('SAM 2 tiny', step, parts, note='clicks, encodes 1024x1024')


class _Sam2Inputs:
    """Frames (3, H, W), uint8, as the network reads them."""

    def preprocess(self, pixels: Tensor) -> Tensor:
        pixels = pixels.float()[None] / 255
        pixels = F.interpolate(pixels, (1024, 1024), mode='bilinear', align_corners=False)
        return (pixels - 0.45) / 0.225


def sam_workload(
    size: Size, num_objects: int, device: torch.device, *, efficient: bool
) -> Workload:
    """EfficientSAM-Ti or SAM ViT-B: encode a frame and answer clicks."""
    settings = (
        dict(type='EfficientSamSegmentor', variant='vitt')
        if efficient
        else dict(type='SamSegmentor', variant='vit_b')
    )
    name = 'EfficientSAM-Ti' if efficient else 'SAM ViT-B'
    model = MODELS.build(settings).to(device).requires_grad_(False)
    model.eval()
    canvas = (1024, 1024)
    work = interactive_workload(model, size, num_objects, 'both', name, encoded=canvas)
    work.note = 'clicks, encodes 1024x1024'
    return work


def peer_builders(
    plain: PlainRapSAM | None,
    num_things: int,
    device: torch.device,
    *,
    size: Size,
    backbone: dict[str, Any],
    num_objects: int,
) -> dict[str, Callable[[], Workload]]:
    """What can stand beside a RapSAM, by the name on the command line.

    Args:
        plain: The baseline, if it was asked for.
        num_things: Of the baseline.
        device: Where all run.
        size: (H, W) of frames.
        backbone: Settings of the ResNet that Mask2Former gets.
        num_objects: Clicks, or segments that are kept.
    """

    def reference() -> Workload:
        assert plain is not None, 'made before the model is fused'
        return reference_workload(plain, size, num_things, num_objects)

    return {
        'reference': reference,
        'mask2former': lambda: mask2former_workload(size, backbone, num_objects, device),
        'sam2_tiny': lambda: sam2_workload(size, num_objects, device),
        'efficient_sam': lambda: sam_workload(size, num_objects, device, efficient=True),
        'sam_vit_b': lambda: sam_workload(size, num_objects, device, efficient=False),
    }


def _pixels(image: np.ndarray) -> Tensor:
    return torch.from_numpy(image).permute(2, 0, 1).contiguous()
