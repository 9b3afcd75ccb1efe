"""What models of the SAM family share: a tuning strategy and embeddings that may be cached."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from seg.models.detectors.embedding_cache import EmbeddingCache
from seg.models.detectors.promptable import PromptableSegmentor
from seg.models.peft.strategies import TuningStrategy
from seg.registry import TASK_UTILS
from seg.structures import ClipSample
from seg.utils.checks import UserError


class TunedSegmentor(PromptableSegmentor):
    """An image encoder, a prompt encoder and a mask decoder, of which a strategy trains some.

    A subclass makes the three modules in its constructor and calls :meth:`set_strategy` last.
    """

    prompt_encoder: Any
    mask_decoder: Any
    strategy: TuningStrategy
    embedding_cache: EmbeddingCache | None = None
    max_prompts: int
    """Prompts decoded at a time in evaluation."""

    def set_canvas(self, size: int, patch_size: int) -> None:
        """Take a size of the canvas, pixels.

        Raises:
            UserError: If it is no multiple of the patch size.
        """
        if size % patch_size or size < patch_size:
            raise UserError(
                f'model.image_size: expected a multiple of the patch size {patch_size}, got {size}'
            )
        self.image_size = size

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

    def _pass_size(self, num_prompts: int) -> int:
        return max(1, num_prompts) if self.training else self.max_prompts
