"""EfficientSAM as a trainable model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ext.efficient_sam import (
    LABEL_PADDING,
    EfficientMaskDecoder,
    EfficientSamVariant,
    PointEncoder,
    ViTEncoder,
    boxes_as_points,
    efficient_sam_variant,
)
from seg.models.detectors.tuned_segmentor import (
    TunedSegmentor,
    checked_canvas,
    images_of_prompts,
)
from seg.registry import MODELS
from seg.structures import PointLabel, Prompts
from seg.structures.prompted_masks import TOKENS, Candidates, PromptedMasks, Ranking
from seg.utils.checks import UserError


@MODELS.register_module()
class EfficientSamSegmentor(TunedSegmentor):
    """EfficientSAM with its published names for weights, so that its files load as they are.

    Source: Xiong et al., "EfficientSAM", CVPR 2024. It was trained on images stretched to a square:
    use ``keep_ratio=False`` in the pipelines. A prompt is at most six points, a box being two of
    them; there are no negative clicks and no mask prompts. Images of a batch may have any numbers
    of prompts. The prompt encoder and the losses run in single precision.

    Args:
        variant: ``'vitt'``, ``'vits'``, ``'tiny'``, ``'small'``, or the fields of an
            :class:`ext.efficient_sam.EfficientSamVariant`.
        image_size: Side of the canvas, pixels; by default the variant's own.
        strategy: What is trained: config of a :class:`~seg.models.peft.TuningStrategy`; by default
            decoder and prompt encoder.
        max_prompts: Prompts decoded at a time in evaluation.
        embedding_cache: Config of an :class:`~seg.models.detectors.EmbeddingCache`; needs a frozen
            encoder.
        criterion: See :class:`TunedSegmentor`; its ``ranking`` is the model's by default.
        ranking: See :class:`TunedSegmentor`; the published program always takes the best of
            three masks, ``'multi'``.
        semantic: See :class:`TunedSegmentor`.
        data_preprocessor: By default ImageNet's normalisation and a canvas of ``image_size``.
        init_cfg: ``dict(type='Pretrained', checkpoint=FILE)`` to start from published weights.

    Raises:
        UserError: If ``image_size`` is no multiple of the patch size.
    """

    prompt_kinds = frozenset({'click', 'multi_click', 'box'})
    prompt_refusals = MappingProxyType(
        {
            'negative_click': 'EfficientSAM has no embedding for them',
            'mask': 'EfficientSAM has no input for them',
        }
    )

    def __init__(
        self,
        variant: str | Mapping[str, Any] | EfficientSamVariant = 'vitt',
        *,
        image_size: int | None = None,
        strategy: dict[str, Any] | None = None,
        max_prompts: int = 64,
        embedding_cache: dict[str, Any] | None = None,
        criterion: dict[str, Any] | None = None,
        ranking: Ranking = 'multi',
        semantic: bool = False,
        data_preprocessor: dict[str, Any] | None = None,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        sizes = (
            variant if isinstance(variant, EfficientSamVariant) else efficient_sam_variant(variant)
        )
        canvas = sizes.native_size if image_size is None else image_size
        canvas = checked_canvas(canvas, sizes.patch_size)
        preprocessor = dict(type='ClipPreprocessor', pad_divisor=canvas)
        criterion = dict(ranking=ranking) | dict(criterion or {})
        super().__init__(criterion, ranking, semantic, data_preprocessor or preprocessor, init_cfg)
        self.image_size = canvas
        self.variant = sizes
        self.max_prompts = max_prompts
        self.image_encoder = ViTEncoder(sizes)
        self.prompt_encoder = PointEncoder(sizes.prompt_dim, canvas)
        self.mask_decoder = EfficientMaskDecoder(sizes)
        self.set_strategy(strategy, embedding_cache)

    def decode_prompts(
        self, embeddings: Tensor, prompts: Sequence[Prompts], candidates: Candidates = 'all'
    ) -> list[PromptedMasks]:
        """Masks of the prompts of each image, at a quarter of the embedding's stride.

        Args:
            embeddings: (B, C, h, w).
            prompts: B sets of prompts, in pixels of the canvas.
            candidates: The mask for clear prompts, the three for ambiguous ones, or all four.

        Raises:
            UserError: If a row has no point or box, more than six points, or something that
                EfficientSAM does not know.
        """
        counts = [len(rows) for rows in prompts]
        size = (embeddings.shape[-2], embeddings.shape[-1])
        images, rows = images_of_prompts(counts), torch.arange(sum(counts))
        with torch.autocast(embeddings.device.type, enabled=False):
            points, labels = as_points(prompts, self.prompt_encoder.max_points)
            tokens = self.prompt_encoder(points, labels)
            places = self.prompt_encoder.dense_positions(size)
        passes = []
        for part in self._row_slices(len(rows)):
            masks, scores = self.mask_decoder(
                embeddings[images[part]], places, tokens[part], TOKENS[candidates]
            )
            passes.append((rows[part], masks, scores))
        return self._by_image(passes, counts, embeddings, candidates)


def as_points(prompts: Sequence[Prompts], max_points: int) -> tuple[Tensor, Tensor]:
    """Clicks, and boxes as two corners each, of the rows of several images.

    Args:
        prompts: One set per image, at least one image.
        max_points: Points that a row may have.

    Returns:
        Points (N, P, 2), pixels, and their labels, 1, 2 and 3, (N, P); -1 fills rows up.

    Raises:
        UserError: If a row has none or too many, or another kind of prompt.
    """
    parts = [_image_points(rows) for rows in prompts]
    most = max(labels.shape[1] for _, labels in parts)
    if most > max_points:
        raise UserError(
            f'prompts: expected at most {max_points} points per object, a box counting as two, got '
            f'{most}; leave some out'
        )
    missing = [most - labels.shape[1] for _, labels in parts]
    pairs = list(zip(parts, missing, strict=True))
    points = [F.pad(coords, (0, 0, 0, more), value=-1.0) for (coords, _), more in pairs]
    labels = [F.pad(kinds, (0, more), value=LABEL_PADDING) for (_, kinds), more in pairs]
    return torch.cat(points), torch.cat(labels)


def _image_points(prompts: Prompts) -> tuple[Tensor, Tensor]:
    """Points (N, P, 2) and labels (N, P) of one image; P is the most that a row has."""
    _check_kinds(prompts)
    corners, kinds = boxes_as_points(prompts.boxes.to(prompts.point_coords))
    kinds = torch.where(prompts.has_box[:, None], kinds, LABEL_PADDING)
    points = torch.cat([prompts.point_coords, corners], dim=1)
    labels = torch.cat([prompts.point_labels, kinds.to(prompts.point_labels)], dim=1)
    used = labels != LABEL_PADDING
    order = (~used).int().argsort(dim=1, stable=True)[:, : _most(used)]
    points = torch.where(used[..., None], points, -1.0)
    return points.gather(1, order[..., None].expand(-1, -1, 2)), labels.gather(1, order)


def _most(used: Tensor) -> int:
    """Most points of a row."""
    return int(used.sum(dim=1).max()) if len(used) else 0


def _check_kinds(prompts: Prompts) -> None:
    if bool((prompts.point_labels == PointLabel.BACKGROUND).any()):
        raise UserError(
            'prompts: expected clicks on objects, got a negative click; EfficientSAM has no '
            'embedding for negative clicks, so it cannot use them; prompt with a box instead'
        )
    answered = prompts.previous_logits is not None and bool(prompts.previous_logits.any())
    if bool(prompts.has_mask.any()) or answered:
        raise UserError(
            'prompts: expected points and boxes, got a mask or the logits of an earlier answer; '
            'EfficientSAM has no input for masks, leave them out'
        )
    if not bool((prompts.has_point | prompts.has_box).all()):
        raise UserError(
            'prompts: expected a point or a box for every object, got an object without any'
        )
