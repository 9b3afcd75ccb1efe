"""What models of the SAM family share: a tuning strategy and embeddings that may be cached."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from seg.models.detectors.embedding_cache import EmbeddingCache
from seg.models.detectors.promptable import PromptableSegmentor
from seg.models.peft.strategies import TuningStrategy
from seg.registry import TASK_UTILS
from seg.structures import ClipSample
from seg.structures.prompted_masks import TOKENS, Candidates, PromptedMasks
from seg.utils.checks import UserError


class TunedSegmentor(PromptableSegmentor):
    """An image encoder, a prompt encoder and a mask decoder, of which a strategy trains some.

    A subclass makes the three modules in its constructor and calls :meth:`set_strategy` last.
    """

    variant: Any
    """Sizes of the model, with ``patch_size`` and, where it decodes prompts, ``prompt_dim``."""

    prompt_encoder: Any
    mask_decoder: Any
    strategy: TuningStrategy
    embedding_cache: EmbeddingCache | None = None
    max_prompts: int
    """Prompts decoded at a time in evaluation."""

    def set_canvas(self, size: int, patch_size: int) -> None:
        """Take a size of the canvas, pixels; see :func:`checked_canvas`."""
        self.image_size = checked_canvas(size, patch_size)

    def set_strategy(
        self, strategy: dict[str, Any] | None, embedding_cache: dict[str, Any] | None
    ) -> None:
        """Freeze and extend the modules, and attach a cache of embeddings.

        Args:
            strategy: Config of a :class:`~seg.models.peft.TuningStrategy`; ``TrainDecoder`` by
                default.
            embedding_cache: Config of an :class:`EmbeddingCache`.

        Raises:
            UserError: If embeddings cannot be cached because the encoder is trained, or
                ``max_prompts`` is too small.
        """
        if self.max_prompts < 1:
            raise UserError(f'model.max_prompts: expected at least 1, got {self.max_prompts}')
        self.strategy = TASK_UTILS.build(strategy or dict(type='TrainDecoder'))
        self.strategy.apply(self)
        if embedding_cache is None:
            return
        if not self.encoder_is_frozen:
            raise UserError(
                'model.embedding_cache: expected a frozen image encoder, got the strategy '
                f'{type(self.strategy).__name__}, which trains it; use TrainDecoder or no cache'
            )
        self.embedding_cache = TASK_UTILS.build(embedding_cache)

    @property
    def encoder_is_frozen(self) -> bool:
        """Whether nothing in the image encoder is trained."""
        return not any(value.requires_grad for value in self.image_encoder.parameters())

    @property
    def embedding_shape(self) -> tuple[int, int, int]:
        """Shape (C, h, w) of an image's embedding."""
        grid = self.image_size // self.variant.patch_size
        return self.variant.prompt_dim, grid, grid

    def encode_images(self, images: Tensor) -> Tensor:
        """Embed normalised images (B, 3, H, W) as (B, C, H / patch, W / patch)."""
        if self.encoder_is_frozen:
            with torch.no_grad():
                return self.image_encoder(images)
        return self.image_encoder(images)

    def embed_samples(self, batch_inputs: Tensor, batch_data_samples: list[ClipSample]) -> Tensor:
        """Embed the images of a batch, or take their embeddings from the cache."""
        if self.embedding_cache is None:
            return self.extract_feat(batch_inputs)
        return self.embedding_cache.embed(
            batch_inputs, batch_data_samples, self, self.embedding_shape
        )

    def _row_slices(self, num_prompts: int) -> list[slice]:
        """Rows that are decoded at a time: in training all of them."""
        size = max(1, num_prompts) if self.training else self.max_prompts
        return [slice(first, first + size) for first in range(0, num_prompts, size)]

    def _by_image(
        self,
        passes: Sequence[tuple[Tensor, Tensor, Tensor]],
        counts: Sequence[int],
        embeddings: Tensor,
        candidates: Candidates,
    ) -> list[PromptedMasks]:
        """Answers of all passes in the order of the prompts of the images.

        Args:
            passes: Rows (n,), their masks (n, M, 4h, 4w) and qualities (n, M) of each pass.
            counts: Prompts of each image.
            embeddings: (B, C, h, w), for the shape of no answers at all.
            candidates: Which masks were decoded.
        """
        if not passes:
            num = len(range(self.mask_decoder.num_mask_tokens)[TOKENS[candidates]])
            size = [4 * side for side in embeddings.shape[-2:]]
            none = (embeddings.new_zeros(0, num, *size), embeddings.new_zeros(0, num))
            passes = [(torch.zeros(0, dtype=torch.long), *none)]
        rows, masks, scores = (torch.cat(parts) for parts in zip(*passes, strict=True))
        if len(passes) > 1:
            back = rows.argsort()
            masks, scores = masks[back], scores[back]
        pairs = zip(masks.split(list(counts)), scores.split(list(counts)), strict=True)
        return [PromptedMasks(*pair) for pair in pairs]


def checked_canvas(size: Any, patch_size: int) -> int:
    """The side of a canvas, pixels.

    Raises:
        UserError: If it is no multiple of the patch size.
    """
    if type(size) is not int or size < patch_size or size % patch_size:
        raise UserError(
            f'model.image_size: expected a multiple of the patch size {patch_size}, got {size!r}'
        )
    return size


def images_of_prompts(counts: Sequence[int]) -> Tensor:
    """The image of each prompt, (N,), int64, where images have so many."""
    return torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(list(counts)))
