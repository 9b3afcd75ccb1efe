"""Panoptic detectors of MMDetection on the samples of this package, to compare with."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from mmdet.models.detectors import BaseDetector
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from torch import Tensor

from seg.registry import MODELS
from seg.structures import ClipSample, PanopticData, Segment
from seg.utils.checks import UserError

_INSTANCES = 1000
"""A thing's value in the maps of MMDetection is its class plus this times its number."""


@MODELS.register_module()
class MMDetPanoptic(BaseDetector):
    """A MaskFormer or Mask2Former that reads :class:`ClipSample` and writes ``pred_panoptic``.

    Pictures, masks and labels are handed over as they are, so it is trained and scored on the same
    data by the same metric as a RapSAM. It knows images and the task ``panoptic`` alone, and its
    segments have no scores of their own (all are 1).

    Args:
        detector: Config of MMDetection's model, without a data preprocessor.
        data_preprocessor: Config of a :class:`~seg.models.data_preprocessors.ClipPreprocessor`.
        init_cfg: See ``BaseModule``.
    """

    def __init__(
        self,
        detector: dict[str, Any],
        data_preprocessor: dict[str, Any] | None = None,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        preprocessor = data_preprocessor or dict(type='ClipPreprocessor')
        super().__init__(data_preprocessor=MODELS.build(dict(preprocessor)), init_cfg=init_cfg)
        self.detector: Any = MODELS.build(ConfigDict(detector))

    def extract_feat(self, batch_inputs: Tensor) -> tuple[Tensor, ...]:
        """The feature pyramid of images (B, 1, 3, H, W).

        Raises:
            UserError: If clips have several frames.
        """
        feats: tuple[Tensor, ...] = self.detector.extract_feat(_images(batch_inputs))
        return feats

    def loss(self, batch_inputs: Tensor, batch_data_samples: list[ClipSample]) -> dict[str, Tensor]:
        """The model's own losses.

        Args:
            batch_inputs: (B, 1, 3, H, W), normalised.
            batch_data_samples: B samples with ground truth; crowds are left out.

        Raises:
            UserError: If clips have several frames.
        """
        samples = [_with_truth(sample) for sample in batch_data_samples]
        losses: dict[str, Tensor] = self.detector.loss(_images(batch_inputs), samples)
        return losses

    def predict(
        self, batch_inputs: Tensor, batch_data_samples: list[ClipSample], rescale: bool = True
    ) -> list[ClipSample]:
        """Write ``pred_panoptic`` into the samples, at the original size.

        Raises:
            UserError: If clips have several frames.
        """
        samples = [_bare(sample) for sample in batch_data_samples]
        found = self.detector.predict(_images(batch_inputs), samples, rescale)
        for sample, answer in zip(batch_data_samples, found, strict=True):
            sample.pred_panoptic = self._as_panoptic(answer.pred_panoptic_seg.sem_seg)
        return batch_data_samples

    def _forward(
        self, batch_inputs: Tensor, batch_data_samples: list[ClipSample] | None = None
    ) -> Any:
        samples = [_bare(sample) for sample in batch_data_samples or ()]
        return self.detector._forward(_images(batch_inputs), samples)

    def _as_panoptic(self, values: Tensor) -> PanopticData:
        """A map of MMDetection (1, H, W) as ids and their classes."""
        num_things, void = self.detector.num_things_classes, self.detector.num_classes
        segment_map = torch.zeros_like(values, dtype=torch.int32)
        segments: list[Segment] = []
        for value in values.unique().tolist():
            label = value % _INSTANCES
            if label == void:
                continue
            segments.append(Segment(len(segments) + 1, label, label < num_things, 1.0))
            segment_map[values == value] = len(segments)
        return PanopticData(segment_map, segments)


def _images(inputs: Tensor) -> Tensor:
    if inputs.shape[1] != 1:
        raise UserError(
            'MMDetPanoptic: expected images (clips of one frame), got clips of '
            f'{inputs.shape[1]} frames; MMDetection has no panoptic model for those'
        )
    return inputs[:, 0]


def _bare(sample: ClipSample) -> DetDataSample:
    """What MMDetection reads of a picture besides its pixels."""
    keys = ('img_shape', 'ori_shape', 'batch_input_shape')
    return DetDataSample(metainfo={key: tuple(sample.get(key)) for key in keys})


def _with_truth(sample: ClipSample) -> DetDataSample:
    """Things and stuff alike as instances, which is how Mask2Former sees them."""
    found = _bare(sample)
    segments = sample.gt_segments[~sample.gt_segments.is_crowd]
    masks = segments.masks[:, 0].cpu().numpy().astype(np.uint8)
    found.gt_instances = InstanceData(
        labels=segments.labels, masks=BitmapMasks(masks, *segments.masks.shape[-2:])
    )
    return found
