"""What objects look like as wholes, frame by frame, and what attention makes of it."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from seg.models.decoders.layers import check_num_heads, mlp, start_at_zero
from seg.models.memory.memory_state import MemoryState
from seg.models.pixelwise import filter_pixels, sum_pixels
from seg.models.prompts.positional import sine_encoding
from seg.models.windows import largest_in_windows
from seg.registry import MODELS

_LONGEST_GAP = 1024.0  # frames; older ones count as that old
_NOTHING = -4.0  # logit


class ObjectRead(NamedTuple):
    """What a memory knows of N objects as wholes.

    Attributes:
        contents: To add to their prompts, (N, C).
        kernels: What to multiply mask features with to find the objects anywhere, (N, C).
        biases: What to add to that, (N,).
    """

    contents: Tensor
    kernels: Tensor
    biases: Tensor

    def search(self, mask_features: Tensor) -> Tensor:
        """Logits of where the objects may be in a frame (C, h, w), (N, h, w), float32."""
        with torch.autocast(mask_features.device.type, enabled=False):
            scaled = self.kernels.float() / math.sqrt(len(mask_features))
            return filter_pixels(mask_features[None].float(), scaled, self.biases.float())[0]


@MODELS.register_module()
class ObjectMemory(BaseModule):
    """One token per object and frame, read by the object's query.

    A token joins the features under the object's mask, those around it and its query. A query
    attends to its own object's tokens alone, each with a code of how long ago it was. What was
    said about the object in words is added to the query through a gate that starts closed. What
    was read is added to the object's prompt, and becomes a kernel that finds it again by its looks
    (as the kernels of Tian et al., "Conditional Convolutions for Instance Segmentation", ECCV
    2020, do on the same picture); both through layers that start at zero, the search far below
    the threshold, so a new memory changes nothing.

    Args:
        feat_channels: Width C.
        num_heads: Attention heads, a divisor of C.
        ring: Width of the surroundings, cells of mask features.
    """

    def __init__(
        self,
        feat_channels: int,
        *,
        num_heads: int = 8,
        ring: int = 3,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        check_num_heads('ObjectMemory', num_heads, feat_channels)
        if ring < 1:
            raise ValueError(f'ObjectMemory.ring: expected at least 1, got {ring}')
        width = feat_channels
        self.ring = ring
        self.token_mlp = mlp(3 * width, width, width, num_layers=2)
        self.token_norm = nn.LayerNorm(width)
        self.attn = nn.MultiheadAttention(width, num_heads, batch_first=True)
        self.norm = nn.LayerNorm(width)
        self.out_proj = nn.Linear(width, width)
        self.text_gate = nn.Parameter(torch.zeros(width))
        self.search_mlp = mlp(width, width, width + 1, num_layers=2)
        start_at_zero(self.out_proj)
        last = self.search_mlp[-1]
        assert isinstance(last, nn.Linear), 'the last layer of an mlp is linear'
        start_at_zero(last)
        nn.init.constant_(last.bias[-1:], _NOTHING)

    def describe(self, masks: Tensor, queries: Tensor, mask_features: Tensor) -> Tensor:
        """Tokens of objects on one frame.

        Args:
            masks: (N, h, w), in [0, 1].
            queries: (N, C).
            mask_features: (C, h, w).

        Returns:
            (N, C).
        """
        if not len(masks):
            return queries.new_zeros(0, mask_features.shape[0])
        grown = largest_in_windows(masks, 2 * self.ring + 1, self.ring)
        inside, around = _means_under(torch.cat([masks, grown - masks]), mask_features).chunk(2)
        seen = torch.cat([inside, around, queries.float()], dim=-1)
        return self.token_norm(self.token_mlp(seen))

    def read(self, state: MemoryState) -> ObjectRead:
        """What is remembered of each object; zeros for objects without memory."""
        num_objects, channels = state.queries.shape
        if not state.num_frames or not num_objects:
            zeros = state.queries.new_zeros(num_objects, channels)
            return ObjectRead(zeros, zeros, zeros[:, :1].squeeze(1))
        gaps = (state.num_seen - state.frame_index).float().clamp(1.0, _LONGEST_GAP)
        ages = sine_encoding((gaps.log() / math.log(_LONGEST_GAP)).unsqueeze(-1), channels)
        tokens = (state.tokens + ages.unsqueeze(1)).transpose(0, 1)  # (N, F, C)
        hidden = ~state.written.T
        hidden[:, 0] &= state.known
        query = (state.queries + self.text_gate.tanh() * state.texts).unsqueeze(1)
        read, _ = self.attn(query, tokens, tokens, key_padding_mask=hidden, need_weights=False)
        joined = self.norm(query + read).squeeze(1)
        known = state.known.unsqueeze(-1)
        searched = self.search_mlp(joined) * known
        return ObjectRead(self.out_proj(joined) * known, searched[:, :-1], searched[:, -1])


def _means_under(weights: Tensor, mask_features: Tensor) -> Tensor:
    """Means of features (C, h, w) weighted by (N, h, w), (N, C); sums leave the range of fp16."""
    with torch.autocast(weights.device.type, enabled=False):
        sums = sum_pixels(weights[None].float(), mask_features[None].float())[0]
        return sums / weights.float().sum(dim=(1, 2)).clamp(min=1e-3).unsqueeze(1)
