"""Which found object of a frame is which of the frames before."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn
from torch.nn import functional as F

from seg.registry import MODELS


@dataclass(frozen=True)
class Tracks:
    """M things that were seen lately; a value that is handed in and returned.

    Attributes:
        ids: (M,), int64, >= 1.
        queries: What they look like, a running mean of unit vectors, (M, C).
        class_probs: Sum over the frames in which they were seen, (M, K).
        masks: Where they were last, (M, h, w), in [0, 1].
        missed: Frames since then, (M,), int64.
        next_id: The id of the next new one.
    """

    ids: Tensor
    queries: Tensor
    class_probs: Tensor
    masks: Tensor
    missed: Tensor
    next_id: int = 1

    @property
    def labels(self) -> Tensor:
        """The class that each was mostly, (M,), int64."""
        return self.class_probs.argmax(dim=1)


@dataclass(frozen=True)
class FoundThings:
    """Things found in one frame, N.

    Attributes:
        queries: (N, C).
        class_probs: Of the K thing classes, (N, K).
        masks: (N, h, w), in [0, 1].
    """

    queries: Tensor
    class_probs: Tensor
    masks: Tensor


@MODELS.register_module()
class PanopticTracker(nn.Module):
    """Matches the things of a frame with those before, at the smallest total cost.

    After Huang et al., "MinVIS", NeurIPS 2022, section 3.3, whose queries alone decide; here the
    overlap with the last mask and the class count as well, and things may be away for a while.

    Args:
        num_things: Classes [0, num_things) are things.
        num_stuff: The next ``num_stuff`` classes are stuff.
        overlap_weight: Weight of the IoU with the last mask.
        query_weight: Weight of the cosine of the queries.
        class_weight: Weight of agreeing classes.
        min_score: Pairs whose weighted score, in [0, sum of weights], is lower do not match.
        max_missed: Frames that a thing may be away and still be the same.
        momentum: Share of the old query in the running mean.

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(
        self,
        num_things: int,
        num_stuff: int,
        *,
        overlap_weight: float = 1.0,
        query_weight: float = 0.6,
        class_weight: float = 0.4,
        min_score: float = 0.8,
        max_missed: int = 20,
        momentum: float = 0.7,
    ) -> None:
        super().__init__()
        if min(overlap_weight, query_weight, class_weight, min_score) < 0 or max_missed < 0:
            raise ValueError('PanopticTracker: expected weights and max_missed >= 0')
        if not 0 <= momentum < 1:
            raise ValueError(f'PanopticTracker.momentum: expected [0, 1), got {momentum}')
        self.num_things = num_things
        self.num_classes = num_things + num_stuff
        self.overlap_weight = overlap_weight
        self.query_weight = query_weight
        self.class_weight = class_weight
        self.min_score = min_score
        self.max_missed = max_missed
        self.momentum = momentum

    def start(self, queries: Tensor, masks: Tensor) -> Tracks:
        """No tracks yet; queries (..., C) and masks (..., h, w) give sizes and device."""
        return Tracks(
            ids=torch.zeros(0, dtype=torch.int64, device=queries.device),
            queries=queries.new_zeros(0, queries.shape[-1]),
            class_probs=queries.new_zeros(0, self.num_things),
            masks=masks.new_zeros(0, *masks.shape[-2:]),
            missed=torch.zeros(0, dtype=torch.int64, device=queries.device),
        )

    @torch.no_grad()
    def forward(self, tracks: Tracks, found: FoundThings) -> tuple[Tracks, Tensor]:
        """Go on by one frame.

        Returns:
            The tracks after it, and the id of each found thing, (N,), int64.
        """
        score = self._score(tracks, found)
        rows, columns = linear_sum_assignment(-score.cpu().numpy())
        pairs = [
            (int(row), int(column))
            for row, column in zip(rows, columns, strict=True)
            if float(score[row, column]) >= self.min_score
        ]
        ids = torch.zeros(len(found.masks), dtype=torch.int64, device=tracks.ids.device)
        old = torch.tensor([pair[0] for pair in pairs], dtype=torch.int64, device=ids.device)
        new = torch.tensor([pair[1] for pair in pairs], dtype=torch.int64, device=ids.device)
        ids[new] = tracks.ids[old]
        after = self._updated(tracks, found, old, new)
        fresh = (ids == 0).nonzero().flatten()
        ids[fresh] = torch.arange(len(fresh), device=ids.device) + tracks.next_id
        return self._joined(after, found, fresh, ids[fresh]), ids

    def _score(self, tracks: Tracks, found: FoundThings) -> Tensor:
        """How well tracks and things fit, (M, N)."""
        cosine = F.normalize(tracks.queries, dim=1) @ F.normalize(found.queries, dim=1).T
        mean = tracks.class_probs / tracks.class_probs.sum(dim=1, keepdim=True).clamp(min=1e-6)
        now = found.class_probs / found.class_probs.sum(dim=1, keepdim=True).clamp(min=1e-6)
        return (
            self.overlap_weight * _soft_iou(tracks.masks, found.masks)
            + self.query_weight * cosine.clamp(min=0)
            + self.class_weight * torch.minimum(mean[:, None], now[None]).sum(dim=2)
        )

    def _updated(self, tracks: Tracks, found: FoundThings, old: Tensor, new: Tensor) -> Tracks:
        """Tracks with what was seen of them now, without those that are away for too long."""
        queries, class_probs = tracks.queries.clone(), tracks.class_probs.clone()
        masks, missed = tracks.masks.clone(), tracks.missed + 1
        queries[old] = self.momentum * queries[old] + (1 - self.momentum) * F.normalize(
            found.queries[new], dim=1
        )
        class_probs[old] += found.class_probs[new]
        masks[old] = found.masks[new]
        missed[old] = 0
        stays = missed <= self.max_missed
        return replace(
            tracks,
            ids=tracks.ids[stays],
            queries=queries[stays],
            class_probs=class_probs[stays],
            masks=masks[stays],
            missed=missed[stays],
        )

    def _joined(self, tracks: Tracks, found: FoundThings, fresh: Tensor, ids: Tensor) -> Tracks:
        """Tracks and the new ones."""
        return Tracks(
            ids=torch.cat([tracks.ids, ids]),
            queries=torch.cat([tracks.queries, F.normalize(found.queries[fresh], dim=1)]),
            class_probs=torch.cat([tracks.class_probs, found.class_probs[fresh]]),
            masks=torch.cat([tracks.masks, found.masks[fresh]]),
            missed=torch.cat([tracks.missed, torch.zeros_like(ids)]),
            next_id=tracks.next_id + len(fresh),
        )


def _soft_iou(first: Tensor, second: Tensor) -> Tensor:
    """Intersection over union of binary-like masks (M, h, w) and (N, h, w), (M, N)."""
    first, second = (first > 0.5).flatten(1).float(), (second > 0.5).flatten(1).float()
    overlap = first @ second.T
    union = first.sum(dim=1, keepdim=True) + second.sum(dim=1) - overlap
    return overlap / union.clamp(min=1)
