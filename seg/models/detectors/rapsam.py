"""The RapSAM detector: backbone, neck and head, one path for image and clip."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import torch
from mmdet.models.detectors import BaseDetector
from torch import Tensor, nn

from seg.models.heads import RapSAMVideoHead
from seg.registry import MODELS
from seg.structures import ClipSample, StageOutput

FRAMES_AT_ONCE = 8
"""Frames of a long clip whose features exist at the same time."""


class ClipFeatures(NamedTuple):
    """Features of a batch of clips.

    Attributes:
        mask_features: (B, T, C, H/4, W/4).
        context_feats: (B, T, C, H/16, W/16) or ``None``.
    """

    mask_features: Tensor
    context_feats: Tensor | None

    def frame(self, index: int) -> ClipFeatures:
        """The features of one frame, T = 1."""
        frames = slice(index, index + 1)
        context = self.context_feats
        return ClipFeatures(
            self.mask_features[:, frames], None if context is None else context[:, frames]
        )


@MODELS.register_module()
class RapSAM(BaseDetector):
    """Segments images and clips: everything in them, or what prompts name.

    Args:
        backbone: Gives four maps at strides 4, 8, 16 and 32.
        neck: Sums them into one map, for example :class:`YOSONeck`.
        head: :class:`RapSAMVideoHead`.
        appearance: What adds colours to the mask features, for example :class:`AppearanceSkip`;
            none in the published model.
        data_preprocessor: :class:`ClipPreprocessor`.

    Raises:
        ValueError: If the head reads context features that the neck was not built to give.
    """

    backbone: nn.Module
    neck: nn.Module
    head: RapSAMVideoHead

    def __init__(
        self,
        backbone: dict,
        neck: dict,
        head: dict,
        appearance: dict | None = None,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        preprocessor = data_preprocessor or dict(type='ClipPreprocessor')
        super().__init__(data_preprocessor=MODELS.build(dict(preprocessor)), init_cfg=init_cfg)
        # The layout in which convolutions are fastest, on CPU as on GPU.
        self.backbone = MODELS.build(backbone).to(memory_format=torch.channels_last)
        self.neck = MODELS.build(neck).to(memory_format=torch.channels_last)
        self.head = MODELS.build(head)
        self.appearance = None if appearance is None else MODELS.build(appearance)
        needs_context = any(getattr(stage, 'needs_context', False) for stage in self.head.stages)
        if needs_context and not getattr(self.neck, 'gives_context', True):
            raise ValueError(
                'model.neck.context: expected True, as the head reads context features '
                '(model.head.stage.context_attention=True), got False; turn both on or both off'
            )

    prompt_refusals: Mapping[str, str] = MappingProxyType({})
    """Why the model cannot understand some kinds of prompts: it could be trained for all."""

    @property
    def prompt_kinds(self) -> frozenset[str]:
        """Kinds of prompts that the model was built for."""
        return self.head.prompt_encoder.prompt_kinds

    def extract_feat(self, batch_inputs: Tensor) -> ClipFeatures:
        """Features of normalised clips (B, T, 3, H, W), H and W multiples of 32."""
        batch_size = batch_inputs.shape[0]
        images = batch_inputs.flatten(0, 1)
        feats = self.neck(self.backbone(images))
        context, mask_features = feats.context_feats, feats.mask_features
        if self.appearance is not None:
            mask_features = self.appearance(images, mask_features)
        return ClipFeatures(
            mask_features.unflatten(0, (batch_size, -1)),
            None if context is None else context.unflatten(0, (batch_size, -1)),
        )

    def loss(self, batch_inputs: Tensor, batch_data_samples: list[ClipSample]) -> dict[str, Tensor]:
        """Losses of a batch of one task.

        Args:
            batch_inputs: (B, T, 3, H, W), normalised.
            batch_data_samples: B samples with ground truth and, in prompted tasks, prompts.
        """
        return self.head.loss(*self.extract_feat(batch_inputs), batch_data_samples)

    def predict(
        self, batch_inputs: Tensor, batch_data_samples: list[ClipSample], rescale: bool = True
    ) -> list[ClipSample]:
        """Write predictions into the samples; they are always at the original size.

        Raises:
            ValueError: If ``rescale`` is off, which this model does not offer.
        """
        if not rescale:
            raise ValueError(
                'rescale: expected True, got False; predictions always have the original size'
            )
        num_frames = batch_inputs.shape[1]
        followers = [self.head.follower(sample, num_frames) for sample in batch_data_samples]
        if all(follower is None for follower in followers):
            return self.head.predict(*self.extract_feat(batch_inputs), batch_data_samples)
        for clip, follower in zip(batch_inputs, followers, strict=True):
            assert follower is not None, 'a batch holds one task'
            for frames in clip.split(FRAMES_AT_ONCE):
                features = self.extract_feat(frames.unsqueeze(0))
                for t in range(len(frames)):
                    follower.step(*features.frame(t))
            follower.finish()
        return batch_data_samples

    def predict_prompts(
        self,
        features: ClipFeatures,
        samples: list[ClipSample],
        *,
        multimask_output: bool = False,
    ) -> list[ClipSample]:
        """Answer prompts on features that are computed once per picture.

        Args:
            features: Of :meth:`extract_feat`.
            samples: With ``prompts`` in pixels of the padded input, of a prompted task.
            multimask_output: Whether each object gets several candidate masks.

        Returns:
            The samples, with ``pred_prompted``: object_ids (N,), masks (N, M, T, H, W) at the
            original size and iou_scores (N, M), best first, and low_res_logits (N, M, T, h, w),
            which the next click takes as ``Prompts.previous_logits``.

        Raises:
            UserError: If a prompt is missing or of a kind that the model was not trained with, or
                the model has no candidates.
        """
        return self.head.predict_prompts(*features, samples, multimask_output=multimask_output)

    def _forward(
        self, batch_inputs: Tensor, batch_data_samples: list[ClipSample] | None = None
    ) -> list[StageOutput]:
        """Raw predictions of all stages; without samples, of the panoptic task."""
        features = self.extract_feat(batch_inputs)
        if batch_data_samples is None:
            batch_data_samples = [ClipSample(metainfo=dict(task='panoptic'))]
        return self.head.decode(*features, batch_data_samples)[1]
