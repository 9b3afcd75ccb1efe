"""From query masks and classes to a panoptic map and to instances."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from mmengine.structures import InstanceData
from torch import Tensor, nn

from seg.models.decoders.extents import mask_extents
from seg.models.heads.mask_resizing import (
    DEVICE_PIXELS,
    PictureSizes,
    full_size,
    resized_bands,
    resized_chunks,
)
from seg.registry import MODELS
from seg.structures import PanopticData, Segment
from seg.utils.devices import HostCopy, runs_ahead

MOST_KEPT = 32
"""Queries that compete where nobody has looked how many are kept, a few times what scenes hold."""


class FoundMap(NamedTuple):
    """What Q queries found in a clip.

    Attributes:
        data: The map and its segments.
        segment_of: Segment of each query, 0 for none, length Q.
        brought: What else was wanted in main memory.
    """

    data: PanopticData
    segment_of: list[int]
    brought: list[np.ndarray]


@MODELS.register_module()
class PanopticFusion(nn.Module):
    """Every pixel goes to the kept query with the largest score times mask probability.

    Source: Cheng et al., "MaskFormer", NeurIPS 2021, section 3.4, with mmdet's refinements.

    Args:
        num_things: Classes [0, num_things) are things.
        num_stuff: The next ``num_stuff`` classes are stuff.
        object_mask_thr: Queries below this class score are dropped.
        iou_thr: A segment is dropped that keeps less than this share of its own mask.
        filter_low_score: Whether a segment is cut to the pixels where its probability is at
            least one half.
        max_per_image: Instances returned by :meth:`instances`.
    """

    def __init__(
        self,
        num_things: int,
        num_stuff: int,
        *,
        object_mask_thr: float = 0.8,
        iou_thr: float = 0.8,
        filter_low_score: bool = True,
        max_per_image: int = 100,
    ) -> None:
        super().__init__()
        self.num_things = num_things
        self.num_classes = num_things + num_stuff
        self.object_mask_thr = object_mask_thr
        self.iou_thr = iou_thr
        self.filter_low_score = filter_low_score
        self.max_per_image = max_per_image

    def kept(self, class_logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries worth their pixels.

        Args:
            class_logits: (Q, K + 1).

        Returns:
            Indices, scores and labels of the kept queries, (M,) each.
        """
        scores, labels, keep = self._worth(class_logits)
        index = keep.nonzero().squeeze(1)
        return index, scores[index], labels[index]

    def _worth(self, class_logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Score and label of each query, and whether it is worth its pixels, (Q,) each."""
        scores, labels = class_logits.float().softmax(dim=-1).max(dim=-1)
        return scores, labels, (labels < self.num_classes) & (scores > self.object_mask_thr)

    def find(
        self,
        class_logits: Tensor,
        mask_logits: Tensor,
        sizes: PictureSizes | None = None,
        *,
        also: Sequence[Tensor] = (),
        on_host: bool = False,
    ) -> FoundMap:
        """The map of what Q queries found.

        A device that runs ahead is waited for once: the first :data:`MOST_KEPT` queries that are
        worth it compete, without asking how many there are. Should there be more, which the answer
        says, the map is assembled again with all of them.

        Args:
            class_logits: (Q, K + 1).
            mask_logits: (Q, T, h, w).
            sizes: The way to the original picture; ``None`` if the masks have its size.
            also: What else is wanted in main memory, brought there in the same wait.
            on_host: Whether the map is wanted there, too.
        """
        scores, labels, keep = self._worth(class_logits)
        scores = scores.where(keep, 0)
        for index in _guesses(keep):
            # What is not kept may hold anything, NaN as well.
            masks = mask_logits[index].where(keep[index][:, None, None, None], 0)
            drawn, numbers = self._drawn(masks, scores[index], labels[index], keep[index], sizes)
            places = torch.stack([index, keep.sum().expand(len(index))])
            wanted = [torch.cat([numbers, places]), *([drawn] if on_host else []), *also]
            (ids, kinds, sure, queries, num_kept), *brought = HostCopy(*wanted).wait()
            if num_kept.max(initial=0) <= len(index):
                break
        if on_host:
            drawn = torch.from_numpy(brought.pop(0))
        segment_of = dict(zip(queries.tolist(), ids.tolist(), strict=True))
        return FoundMap(
            PanopticData(drawn, self._segments(ids, kinds, sure)),
            [int(segment_of.get(query, 0)) for query in range(len(keep))],
            brought,
        )

    def panoptic(
        self,
        mask_logits: Tensor,
        scores: Tensor,
        labels: Tensor,
        sizes: PictureSizes | None = None,
    ) -> PanopticData:
        """Assemble a map.

        Args:
            mask_logits: Kept queries, (M, T, h, w).
            scores: (M,).
            labels: (M,).
            sizes: The way to the original picture; ``None`` if the masks have its size.
        """
        keep = torch.ones_like(labels, dtype=torch.bool)
        drawn, numbers = self._drawn(mask_logits, scores, labels, keep, sizes)
        (values,) = HostCopy(numbers).wait()
        return PanopticData(drawn, self._segments(*values))

    def _drawn(
        self,
        mask_logits: Tensor,
        scores: Tensor,
        labels: Tensor,
        keep: Tensor,
        sizes: PictureSizes | None,
    ) -> tuple[Tensor, Tensor]:
        """Segment of each pixel, (T, H, W), int32; segment, label and score of each query, (3, M).

        Queries that are not kept have the score 0 and stand behind the others.
        """
        if len(scores) == 0:
            shape = full_size(mask_logits, sizes)[1:]
            empty = torch.zeros(shape, dtype=torch.int32, device=mask_logits.device)
            return empty, scores.new_zeros(3, 0)
        owner, inside_owner, own_area = _contest(mask_logits, scores, sizes)
        counted = inside_owner if self.filter_low_score else torch.ones_like(inside_owner)
        areas = _count_values((2 * owner + counted).flatten(), 2 * len(scores))
        lost_area, left_area = areas.view(-1, 2).unbind(dim=1)
        won_area = lost_area + left_area
        stays = keep & (won_area > 0) & (own_area > 0) & (left_area > 0)
        stays &= won_area / own_area.clamp(min=1) >= self.iou_thr
        ids = self._number(stays, labels)
        numbers = torch.stack([ids.float(), labels.float(), scores.float()])
        return ids.int()[owner] * counted, numbers

    def _number(self, stays: Tensor, labels: Tensor) -> Tensor:
        """Segment id per query (0: none), (M,); queries of one stuff class share a segment."""
        itself = torch.arange(len(labels), device=labels.device)
        shared = (labels[:, None] == labels) & (labels >= self.num_things) & stays
        first = (shared | (itself[:, None] == itself)).int().argmax(dim=1)
        new = stays & (first == itself)
        return new.cumsum(dim=0)[first] * stays

    def _segments(self, ids: np.ndarray, labels: np.ndarray, scores: np.ndarray) -> list[Segment]:
        """What the ids stand for: the score of a segment is that of its first query."""
        segments: list[Segment] = []
        for number, label, score in zip(
            ids.tolist(), labels.tolist(), scores.tolist(), strict=True
        ):
            if number > len(segments):
                is_thing = label < self.num_things
                segments.append(Segment(int(number), int(label), is_thing, score))
        return segments

    def candidates(self, class_logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The best (query, thing class) pairs: query indices, scores, labels, (M,) each."""
        probs = class_logits.float().softmax(dim=-1)[:, : self.num_classes]
        count = min(self.max_per_image, probs.numel())
        if not count:
            nothing = class_logits.new_zeros(0, dtype=torch.int64)
            return nothing, probs.new_zeros(0), nothing
        scores, index = probs.flatten().topk(count)
        queries, labels = index // self.num_classes, index % self.num_classes
        things = (labels < self.num_things).nonzero().flatten()
        return queries[things], scores[things], labels[things]

    def instances(
        self,
        mask_logits: Tensor,
        scores: Tensor,
        labels: Tensor,
        *,
        queries: Tensor | None = None,
        sizes: PictureSizes | None = None,
    ) -> InstanceData:
        """Score instances by class probability times mean mask probability.

        Args:
            mask_logits: (Q, T, h, w).
            scores: Class probabilities, (M,).
            labels: (M,).
            queries: Whose mask each instance has, (M,); without it M = Q, in this order.
            sizes: The way to the original picture; ``None`` if the masks have its size.

        Returns:
            masks (M, T, H, W) bool, labels, scores, and the boxes of the first frame.
        """
        if queries is None:
            queries = torch.arange(len(scores), device=scores.device)
        if not len(queries):
            masks = mask_logits.new_zeros((0, *full_size(mask_logits, sizes)[1:]), dtype=torch.bool)
            return InstanceData(
                masks=masks, labels=labels, scores=scores, bboxes=scores.new_zeros(0, 4)
            )
        used, position = queries.unique(return_inverse=True)
        masks, quality = _score_masks(mask_logits[used], sizes)
        return InstanceData(
            masks=masks[position],
            labels=labels,
            scores=scores * quality[position],
            bboxes=mask_extents(masks[:, 0])[position],
        )


def _guesses(keep: Tensor) -> Iterator[Tensor]:
    """Queries that hold all kept ones: where that means to wait, the likely ones before.

    Args:
        keep: (Q,), bool.

    Yields:
        Indices (M,), kept queries before others.
    """
    if runs_ahead(keep.device):
        yield keep.logical_not().sort(stable=True).indices[:MOST_KEPT]
    yield keep.nonzero().squeeze(1)


def _contest(
    mask_logits: Tensor, scores: Tensor, sizes: PictureSizes | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Let queries compete for pixels; of equal ones the first wins.

    Args:
        mask_logits: (M, T, h, w), M >= 1.
        scores: (M,).
        sizes: The way to the original picture.

    Returns:
        The winner of every pixel, (T, H, W), whether its probability there is at least one half,
        and the pixels of each query where that is so, (M,).
    """
    shape, device = full_size(mask_logits, sizes)[1:], mask_logits.device
    owner = torch.empty(shape, dtype=torch.int64, device=device)
    inside_owner = torch.empty(shape, dtype=torch.bool, device=device)
    areas = torch.zeros(len(scores), dtype=torch.int64, device=device)
    # Of equal ones the first has the highest rank. Maxima are many times faster than their places.
    kind = torch.uint8 if len(scores) < 256 else torch.int16
    ranks = torch.arange(len(scores), 0, -1, dtype=kind, device=device)[:, None, None, None]
    scores = scores[:, None, None, None]
    for rows, logits in resized_bands(mask_logits, sizes):
        probs = logits.sigmoid()
        inside = (probs >= 0.5).view(torch.uint8)
        areas += inside.flatten(1).sum(dim=1, dtype=torch.int32)
        scaled = probs.mul_(scores)
        best = scaled.amax(dim=0)
        rank = ((scaled == best).view(torch.uint8) * ranks).amax(dim=0)
        winner = owner[:, rows] = len(ranks) - rank.long()
        inside_owner[:, rows] = best >= 0.5 * scores.flatten()[winner]
    return owner, inside_owner, areas


def _count_values(values: Tensor, count: int) -> Tensor:
    """How often each of the numbers below ``count`` is among some, (P,), int64; (count,)."""
    if not runs_ahead(values.device):
        return torch.bincount(values, minlength=count)
    # What bincount does as well is to look for the largest value. Small numbers are moved faster.
    kind = torch.uint8 if count <= 256 else torch.int16
    numbers = torch.arange(count, dtype=kind, device=values.device)
    values, some = values.to(kind), max(1, DEVICE_PIXELS // len(values))
    return torch.cat([(values == part[:, None]).sum(dim=1) for part in numbers.split(some)])


def _score_masks(mask_logits: Tensor, sizes: PictureSizes | None) -> tuple[Tensor, Tensor]:
    """Binary masks (N, T, H, W) and the mean probability inside each, (N,)."""
    shape, device = full_size(mask_logits, sizes), mask_logits.device
    masks = torch.empty(shape, dtype=torch.bool, device=device)
    quality = torch.empty(len(masks), device=device)
    for rows, logits in resized_chunks(mask_logits, sizes):
        part = masks[rows] = logits > 0
        inside = (logits.sigmoid() * part).flatten(1).sum(dim=1)
        quality[rows] = inside / part.flatten(1).sum(dim=1).clamp(min=1)
    return masks, quality
