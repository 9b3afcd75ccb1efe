"""What every promptable model is: an image and prompts in, masks and scores out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from mmdet.models.detectors import BaseDetector
from mmengine.runner.checkpoint import CheckpointLoader
from mmengine.structures import InstanceData
from torch import Tensor, nn

from seg.models.heads.mask_resizing import PictureSizes, resized_binary_masks
from seg.models.heads.semantic_fusion import fuse_semantic
from seg.models.losses.prompt_criterion import PromptCriterion
from seg.registry import MODELS
from seg.structures import ClipSample, Prompts
from seg.structures.prompted_masks import (
    RANKINGS,
    Candidates,
    PromptedMasks,
    Ranking,
    candidates_for,
    rank_candidates,
)
from seg.utils.checkpoints import load_weights, unwrap_state
from seg.utils.checks import UserError, unknown_name_message


class PromptableSegmentor(BaseDetector, ABC):
    """Segments what prompts name in images.

    A subclass says how images and prompts are encoded and decoded; training, evaluation, losses,
    predictors and distillation work with any of them.

    Args:
        criterion: Config of a :class:`~seg.models.losses.PromptCriterion`; its default if left out.
        ranking: Masks that are predicted per prompt: ``'auto'`` the best one, out of several for a
            single click and the one for clear prompts otherwise; ``'single'`` the one for clear
            prompts; ``'multi'`` all the others, best first.
        semantic: Whether predictions also hold a map of classes, ``pred_panoptic``: every pixel
            gets the class of the prompted segment with the largest logit there. As the classes are
            those of the ground truth, this is for evaluation with prompts from it.
        data_preprocessor: Config of a :class:`~seg.models.data_preprocessors.ClipPreprocessor`.
        init_cfg: Where pretrained weights come from.
    """

    prompt_kinds: frozenset[str]
    """Which of :data:`seg.structures.prompts.PROMPT_FEATURES` the model understands."""

    prompt_refusals: Mapping[str, str] = MappingProxyType({})
    """Why the model cannot understand some of the others."""

    image_size: int
    """Side of the square canvas that images are padded to, pixels."""

    image_encoder: nn.Module

    encoder_blocks: str = 'image_encoder.blocks'
    """Where the blocks of the image encoder are."""

    attention_layers: tuple[str, ...] = ('qkv', 'proj')
    """Linear layers of a block's attention."""

    criterion: PromptCriterion

    knows_classes: bool = True
    """Whether class names of a data set mean anything to the model."""

    where_weights: str = ''
    """How to get published weights, for those who look for them in vain."""

    added_parts: tuple[str, ...] = (r'\.lora_[AB]\.', r'\.adapters\.')
    """Names, as regular expressions, that weights to start from need not have."""

    def __init__(
        self,
        criterion: dict[str, Any] | None = None,
        ranking: Ranking = 'auto',
        semantic: bool = False,
        data_preprocessor: dict[str, Any] | None = None,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        preprocessor = MODELS.build(dict(data_preprocessor or dict(type='ClipPreprocessor')))
        super().__init__(data_preprocessor=preprocessor, init_cfg=init_cfg)
        if ranking not in RANKINGS:
            raise UserError(unknown_name_message('model.ranking', ranking, RANKINGS))
        self.ranking: Ranking = ranking
        self.semantic = semantic
        self.criterion = MODELS.build(dict(type='PromptCriterion') | dict(criterion or {}))

    def init_weights(self) -> None:
        """Start from the weights of ``init_cfg``, whatever wraps them, if it names a file.

        Raises:
            UserError: If they belong to another model.
        """
        init_cfg = self.init_cfg
        if not (isinstance(init_cfg, Mapping) and init_cfg.get('type') == 'Pretrained'):
            super().init_weights()
            return
        source = str(init_cfg['checkpoint'])
        content = CheckpointLoader.load_checkpoint(source, 'cpu', logger='silent')
        state = unwrap_state(content, source)
        load_weights(self, state, allowed_missing=self.added_parts, name=source)
        self.is_init = True

    @property
    @abstractmethod
    def embedding_shape(self) -> tuple[int, int, int]:
        """Shape (C, h, w) of an image's embedding."""

    @property
    def embedding_channels(self) -> int:
        """Channels of an image's embedding."""
        return self.embedding_shape[0]

    @property
    def canvas(self) -> tuple[int, int]:
        """Height and width that images are padded to, pixels."""
        return self.image_size, self.image_size

    @abstractmethod
    def encode_images(self, images: Tensor) -> Tensor:
        """Embed normalised images (B, 3, H, W) as (B, C, h, w)."""

    @abstractmethod
    def decode_prompts(
        self, embeddings: Tensor, prompts: Sequence[Prompts], candidates: Candidates = 'all'
    ) -> list[PromptedMasks]:
        """Masks of the prompts of each image.

        Args:
            embeddings: What :meth:`encode_images` gave, (B, C, h, w).
            prompts: B sets of prompts, any number of rows each, in pixels of the canvas.
            candidates: Which masks are computed.
        """

    def decoding_order(self, prompts: Sequence[Prompts]) -> Tensor:
        """The rows of all images in the order in which they pass the decoder, (N,), int64."""
        return torch.arange(sum(map(len, prompts)))

    def extract_feat(self, batch_inputs: Tensor) -> Tensor:
        """Embed images given as clips of one frame, (B, 1, 3, H, W), as (B, C, h, w).

        Raises:
            UserError: If clips have several frames, or another size than the canvas.
        """
        num_frames, size = batch_inputs.shape[1], tuple(batch_inputs.shape[-2:])
        if num_frames != 1:
            raise UserError(
                f'{type(self).__name__}: expected images (clips of one frame), got clips of '
                f'{num_frames} frames; segment the frames one by one'
            )
        if size != (self.image_size, self.image_size):
            raise UserError(
                f'{type(self).__name__}: expected a canvas of {self.image_size} x '
                f'{self.image_size} pixels, got {size[0]} x {size[1]}; resize images to scale='
                f'({self.image_size}, {self.image_size}) in the pipeline and set '
                f'data_preprocessor.pad_divisor={self.image_size}'
            )
        return self.encode_images(batch_inputs[:, 0])

    def loss(self, batch_inputs: Tensor, batch_data_samples: list[ClipSample]) -> dict[str, Tensor]:
        """Losses of a batch.

        Args:
            batch_inputs: (B, 1, 3, H, W), normalised.
            batch_data_samples: B samples with ground truth, prompts and ``prompt_targets``.
        """
        embeddings = self.embed_samples(batch_inputs, batch_data_samples)
        return self.loss_of_embeddings(embeddings, batch_data_samples)

    def loss_of_embeddings(
        self, embeddings: Tensor, batch_data_samples: list[ClipSample]
    ) -> dict[str, Tensor]:
        """Losses of a batch whose images are embedded already, (B, C, h, w)."""
        prompts = [sample.prompts for sample in batch_data_samples]
        if not sum(map(len, prompts)):
            return {'loss_seg': self._zero(), 'loss_iou': self._zero()}
        candidates = candidates_for(prompts, self.criterion.ranking)
        outputs = self.decode_prompts(embeddings, prompts, candidates)
        return self.criterion(outputs, batch_data_samples, candidates)

    def embed_samples(self, batch_inputs: Tensor, batch_data_samples: list[ClipSample]) -> Tensor:
        """Embed the images of a batch; a subclass may take them from a cache instead."""
        return self.extract_feat(batch_inputs)

    def predict(
        self, batch_inputs: Tensor, batch_data_samples: list[ClipSample], rescale: bool = True
    ) -> list[ClipSample]:
        """Write ``pred_prompted`` into the samples, at the original size.

        See :meth:`predict_prompts`.

        Raises:
            UserError: If ``rescale`` is off.
        """
        if not rescale:
            raise UserError(
                'rescale: expected True, got False; predictions always have the original size'
            )
        embeddings = self.embed_samples(batch_inputs, batch_data_samples)
        return self.predict_prompts(embeddings, batch_data_samples)

    def predict_prompts(
        self, features: Tensor, samples: list[ClipSample], *, multimask_output: bool = False
    ) -> list[ClipSample]:
        """Answer prompts on images that were embedded before.

        Args:
            features: What :meth:`extract_feat` gave, (B, C, h, w).
            samples: With ``prompts`` in pixels of the canvas, and the sizes of the images.
            multimask_output: Whether every prompt gets all the masks for ambiguous prompts rather
                than those of ``ranking``.

        Returns:
            The samples, with ``pred_prompted``: object_ids (N,), masks (N, M, 1, H, W) at the
            original size and iou_scores (N, M), best first, low_res_logits (N, M, 1, h, w), which
            the next click takes as ``Prompts.previous_logits``, and, where there is ground truth,
            ``loss_seg`` and ``loss_iou`` (N,).
        """
        outputs = self.decode_prompts(features, [sample.prompts for sample in samples], 'all')
        ranking: Ranking = 'multi' if multimask_output else self.ranking
        for sample, output in zip(samples, outputs, strict=True):
            ranked = rank_candidates(output, sample.prompts, ranking)
            sample.pred_prompted = self._predict_sample(output, ranked, sample)
            if self.semantic:
                labels = sample.gt_segments.labels[sample.prompt_targets]
                logits = ranked.mask_logits[:, 0]
                sample.pred_panoptic = fuse_semantic(logits, labels, self._sizes(sample))
        return samples

    def _sizes(self, sample: ClipSample) -> PictureSizes:
        return PictureSizes(
            canvas=(self.image_size, self.image_size),
            img_shape=sample.img_shape,
            ori_shape=sample.ori_shape,
            sharpen=None,
        )

    def _predict_sample(
        self, output: PromptedMasks, ranked: PromptedMasks, sample: ClipSample
    ) -> InstanceData:
        sizes = self._sizes(sample)
        num, each = ranked.mask_logits.shape[:2]
        masks = resized_binary_masks(ranked.mask_logits.flatten(0, 1)[:, None], sizes)
        prediction = InstanceData(
            object_ids=sample.prompts.object_ids,
            masks=masks.unflatten(0, (num, each)),
            iou_scores=ranked.iou_scores.float().clamp(0, 1),
            low_res_logits=ranked.mask_logits[:, :, None].float(),
            prompt_kind=_kinds(sample.prompts),
        )
        if 'gt_segments' in sample and 'prompt_targets' in sample:
            losses = self.criterion.of_original(output, sample, self.image_size)
            for name, values in losses.items():
                prediction.set_field(values, name)
        return prediction

    def _forward(
        self, batch_inputs: Tensor, batch_data_samples: list[ClipSample] | None = None
    ) -> Any:
        """Raw masks of the prompts; without samples, embeddings of the images."""
        embeddings = self.extract_feat(batch_inputs)
        if batch_data_samples is None:
            return embeddings
        return self.decode_prompts(embeddings, [sample.prompts for sample in batch_data_samples])

    def _zero(self) -> Tensor:
        """The sum over no prompts, on the graph of every trained parameter."""
        return zero_of(self)


def zero_of(module: nn.Module) -> Tensor:
    """Zero on the graph of every trained parameter of a module, for steps that do not touch it."""
    trained = [value.flatten()[:0] for value in module.parameters() if value.requires_grad]
    return torch.cat(trained).sum()


def _kinds(prompts: Prompts) -> list[str]:
    """The main kind of each row, as ``InteractiveMetric`` reads it."""
    pairs = zip(prompts.has_box.tolist(), prompts.has_mask.tolist(), strict=True)
    return ['box' if box else 'mask' if mask else 'click' for box, mask in pairs]
