"""From prompts to queries."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from enum import Enum

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn import functional as F

from seg.models.decoders.extents import mask_extents
from seg.models.decoders.pooling import SoftMaskMeanPooling
from seg.models.prompts.positional import sine_encoding
from seg.models.prompts.prompt_fusion import PromptFusion, PromptKind
from seg.models.prompts.prompt_maps import (
    WINDOW_LOGIT,
    PromptBatch,
    batch_prompts,
    box_logits,
    box_sides,
    mask_prompt_logits,
    point_logits,
)
from seg.models.prompts.prompt_queries import MaskTokens, PromptQueries
from seg.registry import MODELS
from seg.structures import PointLabel, Prompts
from seg.structures.prompts import PROMPT_FEATURES, kinds_of
from seg.utils.checks import UserError, unknown_name_message
from seg.utils.devices import can_look

_FLOOR = 1e-5  # the public code's inverse-sigmoid and sigmoid clamp boxes to [1e-5, 1 - 1e-5]
_HINT_RADIUS = 1.5  # of the discs that show clicks to the refiner, cells


class CoordinateFrame(str, Enum):
    """What prompt coordinates are divided by."""

    CANVAS = 'canvas'  # the padded input, the frame that the pixel coordinates of the neck span
    IMAGE = 'image'  # the picture before padding, as the public model does


@MODELS.register_module()
class PromptEncoder(BaseModule):
    """One query per prompted object: what kinds of prompts it has, and where they are.

    A click counts as a small box around it. Objects never see each other's prompts, so results
    do not depend on what else is prompted.

    Args:
        feat_channels: Width C.
        num_mask_tokens: Masks M per object, as published.
        num_candidates: Further tokens that answer an ambiguous prompt with several masks, when
            they are asked for.
        click_radius: Half the side of the box that stands for a click, pixels.
        coordinate_frame: See :class:`CoordinateFrame`; ``'canvas'`` agrees with the pixel
            coordinates that the neck appends, ``'image'`` reproduces the public model.
        seed_from_features: Whether the features under a prompt are added to its token, so that
            the first mask already shows what looks alike. Mask prompts always are.
        window_radius: Radius of the disc around a click that the first stage pools, in cells of
            ``mask_features``, and whether boxes give a window as well; left out, the first
            stage pools what the query draws, as published.
        fusion: Settings of :class:`PromptFusion`; without it the encoder takes one positive
            click per object.
        prompt_kinds: What the model was trained for, out of ``PROMPT_FEATURES``; by default all
            that the settings allow.

    Raises:
        ValueError: If a radius is not what a radius can be, or a kind cannot be understood.
    """

    def __init__(
        self,
        feat_channels: int,
        *,
        num_mask_tokens: int = 1,
        num_candidates: int = 0,
        click_radius: float = 3.0,
        coordinate_frame: str = 'canvas',
        seed_from_features: bool = False,
        window_radius: float | None = None,
        fusion: dict | None = None,
        prompt_kinds: Collection[str] | None = None,
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
        self.candidate_tokens = (
            nn.Embedding(num_candidates, feat_channels) if num_candidates else None
        )
        self.pos_proj = nn.Linear(4 * self.num_feats, feat_channels)
        self.seed_proj = nn.Linear(feat_channels, feat_channels) if seed_from_features else None
        self.pooling = SoftMaskMeanPooling()
        self.fusion: PromptFusion | None = None
        if fusion is not None:
            self.fusion = MODELS.build(
                {'type': PromptFusion, 'feat_channels': feat_channels, **fusion}
            )
        self.prompt_kinds = self._choose_kinds(prompt_kinds)

    def _choose_kinds(self, wanted: Collection[str] | None) -> frozenset[str]:
        possible = {'click'}
        if self.fusion is not None:
            possible = set(PROMPT_FEATURES) - (
                {'text'} if not self.fusion.understands_text else set()
            )
        if wanted is None:
            return frozenset(possible)
        for kind in wanted:
            if kind not in possible:
                raise ValueError(
                    'PromptEncoder.prompt_kinds: '
                    + unknown_name_message('prompt kind', kind, sorted(possible))
                    + '; other kinds need a fusion, texts its text_encoder'
                )
        return frozenset(wanted)

    @property
    def num_candidates(self) -> int:
        """How many masks an ambiguous prompt can be answered with."""
        return 0 if self.candidate_tokens is None else self.candidate_tokens.num_embeddings

    def forward(
        self,
        prompts: Sequence[Prompts],
        mask_features: Tensor,
        *,
        canvas: tuple[int, int],
        image_shapes: Sequence[tuple[int, int]],
        tokens: MaskTokens = MaskTokens.SINGLE,
    ) -> PromptQueries:
        """Encode the prompts of a batch.

        Args:
            prompts: One per clip.
            mask_features: (B, T, C, h, w).
            canvas: Size (H, W) of the padded input.
            image_shapes: Size (H, W) of each picture before padding.
            tokens: Which masks are wanted.

        Raises:
            UserError: If a row is empty, holds a kind of prompt that this encoder was not trained
                with, or prompts another frame than the first; if candidates are wanted that the
                encoder does not have.
        """
        self.check(prompts, tokens)
        return self.encode(
            batch_prompts(prompts, mask_features),
            mask_features,
            canvas=canvas,
            image_shapes=image_shapes,
            tokens=tokens,
        )

    def encode(
        self,
        batch: PromptBatch,
        mask_features: Tensor,
        *,
        canvas: tuple[int, int],
        image_shapes: Sequence[tuple[int, int]],
        tokens: MaskTokens = MaskTokens.SINGLE,
    ) -> PromptQueries:
        """As :meth:`forward`, for prompts that were checked and put side by side."""
        canvas_wh = _wh(canvas, mask_features.device)
        frames = canvas_wh.expand(len(batch.valid), 2)
        if self.coordinate_frame is CoordinateFrame.IMAGE:
            frames = torch.stack([_wh(shape, mask_features.device) for shape in image_shapes])
        size = mask_features.shape[-2:]
        stride = canvas_wh / _wh((size[0], size[1]), mask_features.device)
        windows = {
            PromptKind.BOX: box_logits(batch, stride, size),
            PromptKind.MASK: mask_prompt_logits(batch),
        }
        encoded, present = self._tokens(batch, frames, canvas_wh, stride, windows, mask_features)
        if self.fusion is None:
            objects = (encoded * present.unsqueeze(-1)).sum(dim=2)  # one click each
        else:
            objects = self.fusion(encoded, present, batch.texts)
        first, has_first = self._first_masks(batch, stride, windows, mask_features)
        hints = self._hints(batch, stride, windows, mask_features)
        return self._as_queries(objects, batch, tokens)._replace(
            first_masks=first, has_first_mask=has_first, hints=hints
        )

    def encode_boxes(
        self, boxes: Tensor, kinds: Tensor, valid: Tensor, mask_features: Tensor
    ) -> PromptQueries:
        """Encode normalised boxes as the published model does.

        Args:
            boxes: xyxy divided by the coordinate frame's size, (B, N, 4).
            kinds: Row of the type embedding, (B, N), int64.
            valid: (B, N), bool.
            mask_features: (B, T, C, h, w).
        """
        rows = [Prompts.create(points=boxes.new_zeros(boxes.shape[1], 1, 2)) for _ in boxes]
        batch = batch_prompts(rows, mask_features)
        objects = self.type_embed(kinds) + self._positions(boxes)
        queries = self._as_queries(objects, batch, MaskTokens.SINGLE)
        return queries._replace(valid=valid.repeat_interleave(queries.num_tokens, dim=1))

    def _tokens(
        self,
        batch: PromptBatch,
        frames: Tensor,
        canvas_wh: Tensor,
        stride: Tensor,
        windows: dict[PromptKind, Tensor],
        mask_features: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """A token per point, one for the box and one for the mask, and which of them exist.

        Kinds that nobody gave are left out without gradient; with it all layers take part.
        """
        scale = frames.repeat(1, 2)[:, None]  # (B, 1, 4)
        leaves_out = not torch.is_grad_enabled() and can_look(batch.valid.device)
        given = [batch.point_labels != PointLabel.PADDING]
        tokens = [mask_features.new_zeros(*given[0].shape, mask_features.shape[2])]
        if batch.points.shape[2] or not leaves_out:
            tokens = [self._point_tokens(batch, scale, canvas_wh, mask_features)]
        if self.fusion is not None:
            extents = {
                PromptKind.BOX: batch.boxes,
                PromptKind.MASK: mask_extents(batch.mask_probs > 0.5) * stride.repeat(2),
            }
            exists = {PromptKind.BOX: batch.has_box, PromptKind.MASK: batch.has_mask}
            for kind, boxes in extents.items():
                if leaves_out and not exists[kind].any():
                    continue
                token = self.fusion.kind_embed.weight[kind] + self._positions(boxes / scale)
                if self.seed_proj is not None or kind is PromptKind.MASK:
                    token = token + self._seed(windows[kind], mask_features)
                tokens.append(token.unsqueeze(2))
                given.append(exists[kind].unsqueeze(-1))
        return torch.cat(tokens, dim=2), torch.cat(given, dim=2)

    def _point_tokens(
        self, batch: PromptBatch, scale: Tensor, canvas_wh: Tensor, mask_features: Tensor
    ) -> Tensor:
        """What each point is and where it is, (B, N, P, C), as a box around it."""
        radius = self.click_radius
        around = torch.cat([batch.points - radius, batch.points + radius], dim=-1)
        tokens = self.type_embed(batch.point_labels.clamp(min=0))
        tokens = tokens + self._positions(around / scale[:, None])
        if self.seed_proj is None:
            return tokens
        places = batch.points / canvas_wh
        return tokens + self.seed_proj(_features_at(mask_features[:, 0], places))

    def _seed(self, windows: Tensor, mask_features: Tensor) -> Tensor:
        """Mean features of the first frame under windows (B, N, h, w), (B, N, C)."""
        pooled = self.pooling(windows.unsqueeze(2), mask_features[:, :1])
        return pooled if self.seed_proj is None else self.seed_proj(pooled)

    def _positions(self, boxes: Tensor) -> Tensor:
        """Code of normalised boxes xyxy (..., 4) as (centre y, centre x, width, height)."""
        x1, y1, x2, y2 = boxes.unbind(-1)
        yxwh = torch.stack([(y1 + y2) / 2, (x1 + x2) / 2, x2 - x1, y2 - y1], dim=-1)
        return self.pos_proj(sine_encoding(yxwh.clamp(_FLOOR, 1 - _FLOOR), self.num_feats))

    def _first_masks(
        self,
        batch: PromptBatch,
        stride: Tensor,
        windows: dict[PromptKind, Tensor],
        mask_features: Tensor,
    ) -> tuple[Tensor | None, Tensor]:
        """What the first stage pools, (B, N, T, h, w), and for which objects that is known."""
        known = batch.has_mask | batch.has_previous
        if self.window_radius is not None:
            known = batch.has_place
        if self.fusion is None and self.window_radius is None:
            return None, torch.zeros_like(known)
        num_frames, size = mask_features.shape[1], mask_features.shape[-2:]
        first = windows[PromptKind.MASK]
        if self.window_radius is not None:
            discs = point_logits(batch, PointLabel.FOREGROUND, self.window_radius, stride, size)
            first = torch.maximum(first, torch.maximum(discs, windows[PromptKind.BOX]))
            holes = point_logits(batch, PointLabel.BACKGROUND, self.window_radius, stride, size)
            first = torch.minimum(first, -holes.clamp(min=-2 * WINDOW_LOGIT))
        first = first.unsqueeze(2).expand(-1, -1, num_frames, -1, -1)
        answered = batch.has_previous[..., None, None, None]
        return torch.where(answered, batch.previous, first), known

    def _hints(
        self,
        batch: PromptBatch,
        stride: Tensor,
        windows: dict[PromptKind, Tensor],
        mask_features: Tensor,
    ) -> Tensor:
        """Clicks, box and last answer as maps in about [-1, 1], (B, N, T, 4, h, w)."""
        num_frames, size = mask_features.shape[1], mask_features.shape[-2:]
        floor = 2 * WINDOW_LOGIT
        said = [
            point_logits(batch, label, _HINT_RADIUS, stride, size)
            for label in (PointLabel.FOREGROUND, PointLabel.BACKGROUND)
        ]
        maps = [(logits + floor) / (1.5 * floor) for logits in said]
        on_first = torch.stack([*maps, box_sides(batch, stride, size)], dim=2)
        later = torch.zeros_like(on_first)
        on_frames = torch.stack([on_first] + [later] * (num_frames - 1), dim=2)
        shown = torch.where(
            batch.has_mask[..., None, None], windows[PromptKind.MASK], stride.new_zeros(())
        )
        last = torch.where(
            batch.has_previous[..., None, None, None],
            batch.previous.clamp(-floor, floor),
            shown.unsqueeze(2).expand(-1, -1, num_frames, -1, -1),
        )
        return torch.cat([on_frames, last.unsqueeze(3) / floor], dim=3)

    def _as_queries(self, objects: Tensor, batch: PromptBatch, tokens: MaskTokens) -> PromptQueries:
        """Combine each object with its mask tokens."""
        chosen, first_candidate = [], 0
        if tokens is not MaskTokens.CANDIDATES:
            chosen.append(self.mask_tokens.weight)
            first_candidate = len(self.mask_tokens.weight)
        if tokens is not MaskTokens.SINGLE:
            assert self.candidate_tokens is not None, 'checked before prompts are encoded'
            chosen.append(self.candidate_tokens.weight)
        learnt = torch.cat(chosen)
        count, num_objects = len(learnt), objects.shape[1]
        queries = (objects.unsqueeze(2) + learnt).flatten(1, 2)
        place = torch.arange(num_objects * count, device=objects.device)
        # Tokens see those of their own object and kind.
        owner = 2 * (place // count) + (place % count >= first_candidate)
        places = (*batch.valid.shape, *batch.previous.shape[2:])
        return PromptQueries(
            queries=queries,
            valid=batch.valid.repeat_interleave(count, dim=1),
            attn_mask=(owner[:, None] != owner).expand(len(objects), -1, -1),
            num_tokens=count,
            objects=objects,
            first_masks=None,
            has_first_mask=torch.zeros_like(batch.valid),
            is_text_alone=batch.has_text & ~batch.has_place,
            hints=batch.previous.new_zeros(*places[:3], 4, *places[3:]),
            texts=batch.texts,
        )

    def check(self, prompts: Sequence[Prompts], tokens: MaskTokens = MaskTokens.SINGLE) -> None:
        """Refuse prompts that this encoder cannot read; see :meth:`forward`."""
        if tokens is not MaskTokens.SINGLE and self.candidate_tokens is None:
            raise UserError(
                'multimask_output: expected False, as this model was built without candidate '
                'masks, got True; set num_candidates in its prompt_encoder and train it'
            )
        for rows in prompts:
            if len(rows) and not bool(rows.is_valid.all()):
                row = int((~rows.is_valid).nonzero()[0])
                raise UserError(
                    f'prompts: expected something said about every object, got nothing in row '
                    f'{row}; give it a point, a box, a mask or a text'
                )
            unknown = [kind for kind in kinds_of(rows) if kind not in self.prompt_kinds]
            if unknown:
                known = ', '.join(
                    PROMPT_FEATURES[kind] for kind in PROMPT_FEATURES if kind in self.prompt_kinds
                )
                raise UserError(
                    f'prompts: this model was trained with {known}, got '
                    f'{PROMPT_FEATURES[unknown[0]]}; leave them out or use another model'
                )
            if rows.frame_index.any():
                raise UserError(
                    'prompts: this model takes prompts on the first frame, got frame '
                    f'{rows.frame_index.max().item()}; prompt frame 0'
                )


def _wh(size: tuple[int, int], device: torch.device) -> Tensor:
    # Filled on the device: a copy from the CPU would wait for everything before it.
    return torch.stack([torch.full((), float(side), device=device) for side in size[::-1]])


def _features_at(feats: Tensor, places: Tensor) -> Tensor:
    """Features (B, C, h, w) at (x, y) in [0, 1], (B, N, P, 2), bilinear, (B, N, P, C)."""
    if places.numel() == 0:
        return feats.new_zeros(*places.shape[:3], feats.shape[1])
    with torch.autocast(feats.device.type, enabled=False):
        read = F.grid_sample(
            feats.float(), places.float() * 2 - 1, padding_mode='border', align_corners=False
        )
    return read.permute(0, 2, 3, 1)
