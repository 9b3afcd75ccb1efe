"""Segment Anything as a trainable model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ext.sam import (
    SamVariant,
    build_image_encoder,
    build_mask_decoder,
    build_prompt_encoder,
    sam_variant,
)
from seg.models.detectors.sam_decoding import decode_tokens, encode_prompts, group_prompts
from seg.models.detectors.tuned_segmentor import (
    TunedSegmentor,
    checked_canvas,
    images_of_prompts,
)
from seg.registry import MODELS
from seg.structures import Prompts
from seg.structures.prompted_masks import TOKENS, Candidates, PromptedMasks, Ranking
from seg.utils.checks import UserError


@MODELS.register_module()
class SamSegmentor(TunedSegmentor):
    """SAM with its own names for weights, so that published files load as they are.

    Source: Kirillov et al., "Segment Anything", ICCV 2023. Images of a batch may have any numbers
    of prompts; each image is encoded once, without gradients where the encoder is frozen. The
    prompt encoder and the losses run in single precision under mixed precision.

    Args:
        variant: ``'vit_b'``, ``'vit_l'``, ``'vit_h'``, ``'tiny'``, or the fields of a
            :class:`ext.sam.SamVariant`.
        image_size: Side of the canvas, pixels; by default the variant's own.
        strategy: What is trained: config of a :class:`~seg.models.peft.TuningStrategy`; by default
            decoder and prompt encoder.
        max_prompts: Prompts decoded at a time in evaluation.
        embedding_cache: Config of an :class:`~seg.models.detectors.EmbeddingCache`; needs a frozen
            encoder.
        criterion: See :class:`TunedSegmentor`.
        ranking: See :class:`TunedSegmentor`.
        semantic: See :class:`TunedSegmentor`.
        data_preprocessor: By default SAM's normalisation and a canvas of ``image_size``.
        init_cfg: ``dict(type='Pretrained', checkpoint=FILE)`` to start from published weights.

    Raises:
        UserError: If ``image_size`` is no multiple of the patch size.
    """

    prompt_kinds = frozenset({'click', 'multi_click', 'negative_click', 'box', 'mask'})

    def __init__(
        self,
        variant: str | Mapping[str, Any] | SamVariant = 'vit_b',
        *,
        image_size: int | None = None,
        strategy: dict[str, Any] | None = None,
        max_prompts: int = 64,
        embedding_cache: dict[str, Any] | None = None,
        criterion: dict[str, Any] | None = None,
        ranking: Ranking = 'auto',
        semantic: bool = False,
        data_preprocessor: dict[str, Any] | None = None,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        sizes = variant if isinstance(variant, SamVariant) else sam_variant(variant)
        canvas = sizes.native_size if image_size is None else image_size
        canvas = checked_canvas(canvas, sizes.patch_size)
        preprocessor = dict(type='ClipPreprocessor', pad_divisor=canvas)
        super().__init__(criterion, ranking, semantic, data_preprocessor or preprocessor, init_cfg)
        self.variant = sizes
        self.image_size = canvas
        self.max_prompts = max_prompts
        self.image_encoder = build_image_encoder(sizes)
        self.prompt_encoder = build_prompt_encoder(sizes, canvas)
        self.mask_decoder = build_mask_decoder(sizes)
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
            UserError: If a row has no point, box or mask.
        """
        counts = [len(rows) for rows in prompts]
        images = images_of_prompts(counts)
        with torch.autocast(embeddings.device.type, enabled=False):
            image_pe = self.prompt_encoder.get_dense_pe()
        passes = []
        for group in group_prompts(prompts):
            if group.points is None and group.boxes is None and group.masks is None:
                raise UserError(
                    'prompts: expected a point, a box or a mask for every object, got an object '
                    f'without any; this model understands {", ".join(sorted(self.prompt_kinds))}'
                )
            with torch.autocast(embeddings.device.type, enabled=False):
                sparse, dense = encode_prompts(self.prompt_encoder, group)
            for part in self._row_slices(len(group.rows)):
                rows = group.rows[part]
                masks, scores = decode_tokens(
                    self.mask_decoder,
                    _embeddings_of(embeddings, images[rows]),
                    image_pe,
                    sparse[part],
                    dense if len(dense) == 1 else dense[part],
                    TOKENS[candidates],
                )
                passes.append((rows, masks, scores))
        return self._by_image(passes, counts, embeddings, candidates)

    def decoding_order(self, prompts: Sequence[Prompts]) -> Tensor:
        """Rows of one kind pass the decoder together, (N,), int64."""
        return torch.cat([group.rows for group in group_prompts(prompts)])


def _embeddings_of(embeddings: Tensor, images: Tensor) -> Tensor:
    """Embeddings of the images (n,) of prompts, (n, C, h, w), or (1, C, h, w) if it is one."""
    first = int(images[0])
    if bool((images == first).all()):
        return embeddings[first : first + 1]
    return embeddings[images]
