"""What happens inside a promptable model while it answers prompts, for distillation."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any, NamedTuple

import torch
from torch import Tensor

from seg.models.detectors.promptable import PromptableSegmentor
from seg.structures import Prompts
from seg.structures.prompted_masks import PromptedMasks

NUM_OUTPUT_TOKENS = 5
"""One token of quality and four of masks stand before those of prompts in every decoder."""


class ModelView(NamedTuple):
    """What a model made of a batch; the N prompts are those of all images, in their order.

    Attributes:
        embeddings: (B, C, h, w).
        blocks: Output of some blocks of the image encoder, (B, C', h, w) each, by index.
        masks: All candidates, (N, M, 4h, 4w), and their predicted qualities, (N, M).
        tokens: Tokens of quality and masks after the decoder's transformer, (N, 5, C).
        keys: The image after each of the decoder's layers, (N, C, h, w) each.
        attention: Where those tokens look, (N, heads, 5, hw) for each layer and the last look.
    """

    embeddings: Tensor
    blocks: dict[int, Tensor]
    masks: PromptedMasks | None = None
    tokens: Tensor | None = None
    keys: tuple[Tensor, ...] = ()
    attention: tuple[Tensor, ...] = ()


class BlockTrace:
    """Collects the output of blocks of an image encoder while it is entered.

    Args:
        model: The model.
        indices: Which blocks.
    """

    def __init__(self, model: PromptableSegmentor, indices: Sequence[int]) -> None:
        self._encoder: Any = model.image_encoder
        self._indices = indices
        self._stack = ExitStack()
        self.blocks: dict[int, Tensor] = {}

    def __enter__(self) -> BlockTrace:
        for index in self._indices:
            handle = self._encoder.blocks[index].register_forward_hook(self._keep(index))
            self._stack.callback(handle.remove)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    def _keep(self, index: int) -> Any:
        def hook(module: Any, arguments: Any, output: Tensor) -> None:
            self.blocks[index] = output.permute(0, 3, 1, 2)

        return hook


class _DecoderTrace:
    """Collects what passes through a decoder, pass by pass."""

    def __init__(self, transformer: Any, with_attention: bool) -> None:
        self.tokens: list[Tensor] = []
        self.keys: list[list[Tensor]] = [[] for _ in transformer.layers]
        looks = [layer.cross_attn_token_to_image for layer in transformer.layers]
        looks.append(transformer.final_attn_token_to_image)
        self.attention: list[list[Tensor]] = [[] for _ in looks]
        self._handles = [
            transformer.register_forward_hook(
                lambda module, given, output: self.tokens.append(output[0][:, :NUM_OUTPUT_TOKENS])
            )
        ]
        for layer, kept in zip(transformer.layers, self.keys, strict=True):
            self._handles.append(layer.register_forward_hook(_keep_image(kept)))
        for look, kept in zip(looks, self.attention, strict=True):
            if with_attention:
                hook = look.register_forward_hook(_keep_attention(kept), with_kwargs=True)
                self._handles.append(hook)

    def remove(self) -> None:
        for handle in self._handles:
            handle.remove()


def decode_traced(
    model: PromptableSegmentor,
    embeddings: Tensor,
    blocks: dict[int, Tensor],
    prompts: Sequence[Prompts],
    with_attention: bool,
) -> ModelView:
    """Answer prompts, with what happens on the way.

    Args:
        model: Its ``mask_decoder`` has a two-way transformer as SAM's.
        embeddings: (B, C, h, w).
        blocks: See :class:`ModelView`.
        prompts: B sets of prompts, in pixels of the canvas, at least one row in all.
        with_attention: Whether attention is of interest.
    """
    decoder: Any = model.mask_decoder
    trace = _DecoderTrace(decoder.transformer, with_attention)
    try:
        found = model.decode_prompts(embeddings, prompts, 'all')
    finally:
        trace.remove()
    back = model.decoding_order(prompts).argsort().to(embeddings.device)
    size = (embeddings.shape[-2], embeddings.shape[-1])
    return ModelView(
        embeddings,
        blocks,
        PromptedMasks(*(torch.cat(parts) for parts in zip(*found, strict=True))),
        torch.cat(trace.tokens)[back],
        tuple(torch.cat(kept)[back].mT.unflatten(-1, size) for kept in trace.keys),
        tuple(torch.cat(kept)[back] for kept in trace.attention if kept),
    )


def _keep_image(kept: list[Tensor]) -> Any:
    def hook(module: Any, arguments: Any, output: tuple[Tensor, Tensor]) -> None:
        kept.append(output[1])

    return hook


def _keep_attention(kept: list[Tensor]) -> Any:
    """Attention is computed by fused kernels, so its map is computed again for some tokens."""

    def hook(module: Any, given: tuple[Tensor, ...], named: dict[str, Tensor], output: Any) -> None:
        q, k = (named[name] if name in named else given[i] for i, name in enumerate('qk'))
        queries, keys = module.q_proj(q[:, :NUM_OUTPUT_TOKENS]), module.k_proj(k)
        queries, keys = (
            value.unflatten(-1, (module.num_heads, -1)).transpose(1, 2) for value in (queries, keys)
        )
        scores = queries @ keys.mT / queries.shape[-1] ** 0.5
        kept.append(scores.float().softmax(dim=-1))

    return hook
