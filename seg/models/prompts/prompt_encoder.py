"""From prompts to queries."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn import functional as F

from seg.models.prompts.positional import sine_encoding
from seg.registry import MODELS
from seg.structures import PointLabel, Prompts
from seg.utils.checks import UserError

_WINDOW_LOGIT = 4.0  # at the centre of the first window; minus twice that far outside
_FLOOR = 1e-5  # the public code's inverse-sigmoid and sigmoid clamp boxes to [1e-5, 1 - 1e-5]


class CoordinateFrame(str, Enum):
    """What prompt coordinates are divided by."""

    CANVAS = 'canvas'  # the padded input, the frame that the pixel coordinates of the neck span
    IMAGE = 'image'  # the picture before padding, as the public model does


class PromptQueries(NamedTuple):
    """Prompted objects as the decoder takes them; N is padded to the batch's largest number.

    Attributes:
        queries: (B, N * M, C), an object's M mask tokens beside each other.
        valid: False for padding, (B, N * M), bool.
        attn_mask: True where query i must not see query j, (B, N * M, N * M), bool; an object's
            tokens see each other and nothing else.
        first_masks: Mask logits that the first stage starts from, (B, N * M, T, h, w); ``None``
            where it starts from what the queries draw themselves.
    """

    queries: Tensor
    valid: Tensor
    attn_mask: Tensor
    first_masks: Tensor | None = None


@MODELS.register_module()
class PromptEncoder(BaseModule):
    """One query per prompted object: what kind of prompt it is, plus where it is.

    A click counts as a small box around it. Objects never see each other's prompts, so results
    do not depend on what else is prompted.

    Args:
        feat_channels: Width C.
        num_mask_tokens: Candidate masks M per object.
        click_radius: Half the side of the box that stands for a click, pixels.
        coordinate_frame: See :class:`CoordinateFrame`; ``'canvas'`` agrees with the pixel
            coordinates that the neck appends, ``'image'`` reproduces the public model.
        seed_from_features: Whether the features under the click are added to the query, so that
            its first mask already shows what looks alike.
        window_radius: Radius of the disc around a prompt's centre that the first stage pools,
            in cells of ``mask_features``; left out, it pools what the query draws, as published.

    Raises:
        ValueError: If a radius is not what a radius can be.
    """

    prompt_kinds = frozenset({'click'})

    def __init__(
        self,
        feat_channels: int,
        *,
        num_mask_tokens: int = 1,
        click_radius: float = 3.0,
        coordinate_frame: str = 'canvas',
        seed_from_features: bool = False,
        window_radius: float | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        if window_radius is not None and window_radius <= 0:
            raise ValueError(
                'PromptEncoder.window_radius: expected more than 0 cells, or None to pool what '
                f'the query draws, got {window_radius}'
            )
        if click_radius < 0:
            raise ValueError(
                f'PromptEncoder.click_radius: expected 0 pixels or more, got {click_radius}'
            )
        self.click_radius = click_radius
        self.window_radius = window_radius
        self.coordinate_frame = CoordinateFrame(coordinate_frame)
        self.num_feats = feat_channels // 2
        self.type_embed = nn.Embedding(2, feat_channels)
        self.mask_tokens = nn.Embedding(num_mask_tokens, feat_channels)
        self.pos_proj = nn.Linear(4 * self.num_feats, feat_channels)
        self.seed_proj = nn.Linear(feat_channels, feat_channels) if seed_from_features else None

    def forward(
        self,
        prompts: Sequence[Prompts],
        mask_features: Tensor,
        *,
        canvas: tuple[int, int],
        image_shapes: Sequence[tuple[int, int]],
    ) -> PromptQueries:
        """Encode the prompts of a batch.

        Args:
            prompts: One per clip; each row one positive click for now.
            mask_features: (B, T, C, h, w).
            canvas: Size (H, W) of the padded input.
            image_shapes: Size (H, W) of each picture before padding.

        Raises:
            UserError: If a row holds a kind of prompt that this encoder does not know, or prompts
                another frame than the first.
        """
        device = mask_features.device
        most = max(len(p) for p in prompts)
        boxes = torch.zeros(len(prompts), most, 4, device=device)
        kinds = torch.full((len(prompts), most), int(PointLabel.FOREGROUND), device=device)
        valid = torch.zeros(len(prompts), most, dtype=torch.bool, device=device)
        for i, rows in enumerate(prompts):
            frame = canvas if self.coordinate_frame is CoordinateFrame.CANVAS else image_shapes[i]
            boxes[i, : len(rows)] = self._as_boxes(rows).to(device) / _whwh(frame, device)
            valid[i, : len(rows)] = True
        return self.encode_boxes(boxes, kinds, valid, mask_features)

    def encode_boxes(
        self, boxes: Tensor, kinds: Tensor, valid: Tensor, mask_features: Tensor
    ) -> PromptQueries:
        """Encode normalised boxes; the arithmetic behind :meth:`forward`.

        Args:
            boxes: xyxy divided by the coordinate frame's size, (B, N, 4).
            kinds: Row of the type embedding, (B, N), int64.
            valid: (B, N), bool.
            mask_features: (B, T, C, h, w).
        """
        x1, y1, x2, y2 = boxes.unbind(-1)
        yxwh = torch.stack([(y1 + y2) / 2, (x1 + x2) / 2, x2 - x1, y2 - y1], dim=-1)
        position = self.pos_proj(sine_encoding(yxwh.clamp(_FLOOR, 1 - _FLOOR), self.num_feats))
        content = self.type_embed(kinds)
        if self.seed_proj is not None:
            content = content + self.seed_proj(_features_at(mask_features[:, 0], yxwh))
        queries = (content + position).unsqueeze(2) + self.mask_tokens.weight  # (B, N, M, C)
        num_tokens = self.mask_tokens.num_embeddings
        num_queries = boxes.shape[1] * num_tokens
        owner = torch.arange(num_queries, device=boxes.device) // num_tokens
        return PromptQueries(
            queries=queries.flatten(1, 2),
            valid=valid.repeat_interleave(num_tokens, dim=1),
            attn_mask=(owner[:, None] != owner).expand(len(boxes), -1, -1),
            first_masks=self._windows(yxwh, mask_features, num_tokens),
        )

    def _windows(self, yxwh: Tensor, feats: Tensor, num_tokens: int) -> Tensor | None:
        """Logits that are positive on a disc around each prompt, (B, N * M, T, h, w)."""
        if self.window_radius is None:
            return None
        num_frames, height, width = feats.shape[1], *feats.shape[-2:]
        rows = torch.arange(height, device=feats.device) + 0.5
        columns = torch.arange(width, device=feats.device) + 0.5
        dy = rows - yxwh[..., 0:1] * height  # (B, N, h)
        dx = columns - yxwh[..., 1:2] * width  # (B, N, w)
        distance = dy.square().unsqueeze(-1) + dx.square().unsqueeze(-2)
        logits = _WINDOW_LOGIT * (1 - distance / self.window_radius**2)
        logits = logits.clamp(min=-2 * _WINDOW_LOGIT).repeat_interleave(num_tokens, dim=1)
        return logits.unsqueeze(2).expand(-1, -1, num_frames, -1, -1)

    def _as_boxes(self, rows: Prompts) -> Tensor:
        """A box in pixels for every row's click, (N, 4)."""
        if not len(rows):
            return rows.boxes
        single = rows.point_coords.shape[1] == 1 and not rows.has_box.any()
        positive = (rows.point_labels == PointLabel.FOREGROUND).all()
        words = any(text is not None for text in rows.texts)
        if not single or not positive or words or rows.has_mask.any():
            raise UserError(
                'prompts: this model was trained with one positive click per object, got other '
                'prompts (several or negative clicks, boxes, masks or text); give one '
                'foreground point for each object'
            )
        if rows.frame_index.any():
            raise UserError(
                'prompts: this model takes prompts on the first frame, got frame '
                f'{rows.frame_index.max().item()}; prompt frame 0'
            )
        points = rows.point_coords[:, 0]
        return torch.cat([points - self.click_radius, points + self.click_radius], dim=-1)


def _whwh(size: tuple[int, int], device: torch.device) -> Tensor:
    height, width = size
    return torch.tensor([width, height, width, height], dtype=torch.float32, device=device)


def _features_at(feats: Tensor, yxwh: Tensor) -> Tensor:
    """Features (B, C, h, w) at box centres (B, N, 4), bilinear, (B, N, C)."""
    grid = yxwh[:, :, [1, 0]].unsqueeze(1) * 2 - 1  # (B, 1, N, 2) as x, y in [-1, 1]
    with torch.autocast(feats.device.type, enabled=False):
        read = F.grid_sample(
            feats.float(), grid.float(), padding_mode='border', align_corners=False
        )
    return read.squeeze(2).transpose(1, 2)
