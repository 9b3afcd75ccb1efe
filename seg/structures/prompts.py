"""What a person says about objects: clicks, boxes, masks and words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from enum import IntEnum
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from seg.utils.checks import UserError

PROMPT_KINDS = ('click', 'box', 'mask', 'text')
"""The main kinds of prompts that are simulated and measured."""

PROMPT_FEATURES = {
    'click': 'one positive click per object',
    'multi_click': 'several clicks on one object',
    'negative_click': 'negative clicks',
    'box': 'boxes',
    'mask': 'mask prompts',
    'text': 'texts',
}
"""What a model may be trained to understand -> how to say it in an error."""


class PointLabel(IntEnum):
    """Meaning of one entry of ``Prompts.point_labels``."""

    PADDING = -1
    BACKGROUND = 0
    FOREGROUND = 1


@dataclass
class Prompts:
    """Prompts of N objects on one clip, in pixels of the clip they travel with.

    A row holds everything said about one object on one frame: any mix of points, one box, one
    mask and one text. An object prompted on several frames has several rows with the same id.
    Sub-pixel convention: the centre of the top-left pixel is (0.5, 0.5).

    Attributes:
        object_ids: User's id of each row's object, (N,), int64.
        frame_index: Frame of the clip that the row refers to, (N,), int64; 0 for images.
        point_coords: Points (x, y), (N, P, 2), pixels.
        point_labels: One :class:`PointLabel` per point, (N, P), int64.
        boxes: Boxes xyxy, (N, 4), pixels; rows of NaN where the object has no box.
        masks: Mask prompts as probabilities in [0, 1] (bool before the preprocessor), (N, H, W) at
            the clip's size, or ``None``.
        has_mask: Which rows of ``masks`` count, (N,), bool.
        texts: A phrase per row or ``None``, length N.
        previous_logits: Mask logits that the model last answered, (N, T, h, w) at the size of its
            mask features, zeros for rows without an answer; ``None`` before the first answer.
    """

    object_ids: Tensor
    frame_index: Tensor
    point_coords: Tensor
    point_labels: Tensor
    boxes: Tensor
    masks: Tensor | None
    has_mask: Tensor
    texts: tuple[str | None, ...]
    previous_logits: Tensor | None = None

    @classmethod
    def create(
        cls,
        *,
        points: Tensor | None = None,
        point_labels: Tensor | None = None,
        boxes: Tensor | None = None,
        masks: Tensor | None = None,
        texts: Sequence[str | None] | None = None,
        object_ids: Tensor | None = None,
        frame_index: int | Tensor = 0,
    ) -> Prompts:
        """Build prompts from whatever kinds are at hand.

        Args:
            points: (N, P, 2), pixels.
            point_labels: (N, P); all foreground when left out.
            boxes: (N, 4), xyxy pixels, rows of NaN for objects without a box.
            masks: (N, H, W), bool or probabilities.
            texts: N phrases, ``None`` for objects without one.
            object_ids: (N,); 1..N when left out.
            frame_index: One frame for all rows, or (N,).

        Raises:
            UserError: If no kind is given, the kinds disagree about N, a shape is wrong, a label
                is unknown, a coordinate is not finite, or a box is empty.
        """
        given = [x for x in (points, boxes, masks, texts) if x is not None]
        if not given:
            raise UserError(
                'prompts: expected points, boxes, masks or texts, got none of them; '
                'give at least one prompt'
            )
        num = len(given[0])
        device = next((x.device for x in given if isinstance(x, Tensor)), torch.device('cpu'))
        if points is None:
            points = torch.zeros(num, 0, 2, device=device)
        points = torch.as_tensor(points, dtype=torch.float32, device=device)
        if point_labels is None:
            point_labels = torch.ones(points.shape[:2], dtype=torch.long, device=device)
        has_mask = torch.full((num,), masks is not None, device=device)
        ids = torch.arange(1, num + 1) if object_ids is None else object_ids
        frames = torch.as_tensor(frame_index, dtype=torch.long, device=device)
        prompts = cls(
            object_ids=torch.as_tensor(ids, dtype=torch.long, device=device),
            frame_index=frames.expand(num).clone(),
            point_coords=points,
            point_labels=torch.as_tensor(point_labels, dtype=torch.long, device=device),
            boxes=torch.full((num, 4), torch.nan, device=device)
            if boxes is None
            else torch.as_tensor(boxes, dtype=torch.float32, device=device),
            masks=None if masks is None else torch.as_tensor(masks, device=device).float(),
            has_mask=has_mask,
            texts=(None,) * num if texts is None else tuple(texts),
        )
        prompts.validate()
        return prompts._with_padding_at_zero()

    def __len__(self) -> int:
        """Number of rows N."""
        return len(self.object_ids)

    @property
    def has_box(self) -> Tensor:
        """Which rows have a box, (N,), bool."""
        return ~torch.isnan(self.boxes).any(dim=-1)

    @property
    def has_point(self) -> Tensor:
        """Which rows have at least one point that is not padding, (N,), bool."""
        return (self.point_labels != PointLabel.PADDING).any(dim=-1)

    @property
    def has_text(self) -> Tensor:
        """Which rows have a text, (N,), bool."""
        given = torch.zeros_like(self.object_ids, dtype=torch.bool)
        for row, text in enumerate(self.texts):
            if text is not None:
                given[row] = True
        return given

    @property
    def is_valid(self) -> Tensor:
        """Which rows say anything at all, (N,), bool."""
        return self.has_point | self.has_box | self.has_mask | self.has_text

    def validate(self) -> None:
        """Check shapes and values.

        Raises:
            UserError: With the name of the field, what was expected and what came.
        """
        num = len(self.object_ids)
        if self.point_coords.ndim != 3 or self.point_coords.shape[-1] != 2:
            raise UserError(
                f'prompts.points: expected shape (N, P, 2), got {tuple(self.point_coords.shape)}; '
                'give P points (x, y) for each of N objects'
            )
        expected = {
            'points': ((num, *self.point_coords.shape[1:]), self.point_coords.shape),
            'point_labels': (self.point_coords.shape[:2], self.point_labels.shape),
            'boxes': ((num, 4), self.boxes.shape),
            'texts': ((num,), (len(self.texts),)),
            'frame_index': ((num,), self.frame_index.shape),
        }
        if self.previous_logits is not None:
            size = self.previous_logits.shape[1:]
            expected['previous_logits'] = ((num, *size), self.previous_logits.shape)
        if self.masks is not None:
            if self.masks.ndim != 3:
                raise UserError(
                    f'prompts.masks: expected shape (N, H, W), got {tuple(self.masks.shape)}'
                )
            expected['masks'] = ((num, *self.masks.shape[1:]), self.masks.shape)
        for name, (want, got) in expected.items():
            if tuple(want) != tuple(got):
                raise UserError(
                    f'prompts.{name}: expected shape {tuple(want)} for {num} objects, '
                    f'got {tuple(got)}; every kind of prompt needs one row per object'
                )
        self._validate_values()

    def _validate_values(self) -> None:
        labels = self.point_labels
        if ((labels < PointLabel.PADDING) | (labels > PointLabel.FOREGROUND)).any():
            raise UserError(
                'prompts.point_labels: expected 1 (foreground), 0 (background) or -1 (padding), '
                f'got {sorted(set(labels.flatten().tolist()))}'
            )
        lost = ~torch.isfinite(self.point_coords).all(dim=-1) & (labels != PointLabel.PADDING)
        if lost.any():
            raise UserError(
                'prompts.points: expected finite pixel coordinates, got '
                f'{_shown(self.point_coords, lost)}; write label -1 for a point that does not exist'
            )
        missing = torch.isnan(self.boxes)
        infinite = torch.isinf(self.boxes).any(dim=1)
        if (broken := infinite | (missing.any(dim=1) & ~missing.all(dim=1))).any():
            raise UserError(
                'prompts.boxes: expected finite pixel coordinates, got '
                f'{_shown(self.boxes, broken)}; a row of four NaN stands for no box'
            )
        if (empty := (self.boxes[:, 2:] <= self.boxes[:, :2]).any(dim=1)).any():
            raise UserError(
                'prompts.boxes: expected x1 < x2 and y1 < y2 (xyxy, pixels), got an empty box, '
                f'{_shown(self.boxes, empty)}; order the corners, and note that '
                '(x, y, width, height) is not accepted'
            )

    def with_points(self, coords: Tensor, labels: Tensor) -> Prompts:
        """The same rows with K further points each.

        Args:
            coords: (N, K, 2), pixels.
            labels: One :class:`PointLabel` per point, (N, K); padding where a row gets none.

        Raises:
            UserError: If the shapes or values are wrong.
        """
        prompts = replace(
            self,
            point_coords=torch.cat([self.point_coords, coords.to(self.point_coords)], dim=1),
            point_labels=torch.cat([self.point_labels, labels.to(self.point_labels)], dim=1),
        )
        prompts.validate()
        return prompts._with_padding_at_zero()

    def with_more(self, more: Prompts) -> Prompts:
        """What was said about objects, and what is said besides.

        Points are added; a box, a mask or a text takes the place of an earlier one.

        Args:
            more: As many rows; their ids, frames and previous logits are not looked at.

        Raises:
            UserError: If there are more or fewer rows, or masks of another size.
        """
        prompts = self.with_points(more.point_coords, more.point_labels)
        boxes = torch.where(more.has_box.unsqueeze(1), more.boxes, self.boxes)
        later = [a if b is None else b for a, b in zip(self.texts, more.texts, strict=True)]
        prompts = replace(prompts, boxes=boxes, texts=tuple(later))
        if more.masks is None:
            return prompts
        masks = torch.zeros_like(more.masks) if self.masks is None else self.masks
        if masks.shape != more.masks.shape:
            raise UserError(
                f'prompts.masks: expected masks of {tuple(masks.shape)} as before, got '
                f'{tuple(more.masks.shape)}'
            )
        masks = torch.where(more.has_mask[:, None, None], more.masks, masks)
        return replace(prompts, masks=masks, has_mask=self.has_mask | more.has_mask)

    def _with_padding_at_zero(self) -> Prompts:
        """The same with points that do not exist at (0, 0), so that none can be NaN."""
        padding = (self.point_labels == PointLabel.PADDING).unsqueeze(-1)
        return replace(self, point_coords=self.point_coords.masked_fill(padding, 0.0))

    @classmethod
    def concatenate(cls, parts: Sequence[Prompts]) -> Prompts:
        """The rows of several prompts of one clip, one after the other.

        Points are padded to the largest number; rows of parts without masks or previous logits
        hold zeros there.

        Raises:
            UserError: If there are no parts.
        """
        if not parts:
            raise UserError('parts: expected at least one set of prompts, got none')
        most = max(part.point_coords.shape[1] for part in parts)
        padding = [(0, most - part.point_coords.shape[1]) for part in parts]
        joined: dict[str, Any] = {
            'point_coords': torch.cat(
                [F.pad(x.point_coords, (0, 0, *pad)) for x, pad in zip(parts, padding, strict=True)]
            ),
            'point_labels': torch.cat(
                [
                    F.pad(x.point_labels, pad, value=int(PointLabel.PADDING))
                    for x, pad in zip(parts, padding, strict=True)
                ]
            ),
            'texts': tuple(text for part in parts for text in part.texts),
        }
        for name in ('object_ids', 'frame_index', 'boxes', 'has_mask'):
            joined[name] = torch.cat([getattr(part, name) for part in parts])
        for name in ('masks', 'previous_logits'):
            joined[name] = _joined_maps(
                [getattr(part, name) for part in parts], [len(part) for part in parts]
            )
        return cls(**joined)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Prompts:
        """A copy with all tensors on ``device``."""
        return self._map(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def __getitem__(self, rows: Tensor | slice | list[int]) -> Prompts:
        """The chosen rows, as prompts."""
        index = torch.arange(len(self))[rows if not isinstance(rows, Tensor) else rows.cpu()]
        index = index.reshape(-1)
        picked = self._map(lambda tensor: tensor[index.to(tensor.device)])
        return replace(picked, texts=tuple(self.texts[i] for i in index.tolist()))

    def _map(self, change: Callable[[Tensor], Tensor]) -> Prompts:
        """A copy with ``change`` applied to every tensor."""
        changed: dict[str, Any] = {
            f.name: change(value)
            for f in fields(self)
            if isinstance(value := getattr(self, f.name), Tensor)
        }
        return replace(self, **changed)


def kinds_of(prompts: Prompts) -> list[str]:
    """Which of :data:`PROMPT_FEATURES` occur."""
    labels = prompts.point_labels
    per_object = (labels != PointLabel.PADDING).sum(dim=1)
    present = {
        'click': bool((per_object == 1).any()),
        'multi_click': bool((per_object > 1).any()),
        'negative_click': bool((labels == PointLabel.BACKGROUND).any()),
        'box': bool(prompts.has_box.any()),
        'mask': bool(prompts.has_mask.any()),
        'text': any(text is not None for text in prompts.texts),
    }
    return [kind for kind, occurs in present.items() if occurs]


def _shown(coords: Tensor, chosen: Tensor) -> str:
    """The first of the chosen points or boxes and the row that it is in."""
    place = chosen.nonzero()[0]
    numbers = ', '.join(f'{value:g}' for value in coords[tuple(place)].tolist())
    return f'({numbers}) in row {int(place[0])}'


def _joined_maps(maps: Sequence[Tensor | None], lengths: Sequence[int]) -> Tensor | None:
    """Maps (N_i, ...) one after the other, zeros for parts without; ``None`` if all are."""
    like = next((part for part in maps if part is not None), None)
    if like is None:
        return None
    filled = [
        like.new_zeros(length, *like.shape[1:]) if part is None else part
        for part, length in zip(maps, lengths, strict=True)
    ]
    return torch.cat(filled)
