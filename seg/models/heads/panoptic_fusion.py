"""From query masks and classes to a panoptic map and to instances."""

from __future__ import annotations

import torch
from mmengine.structures import InstanceData
from torch import Tensor, nn
from torch.nn import functional as F

from seg.registry import MODELS
from seg.structures import PanopticData, Segment


def resize_masks(
    mask_logits: Tensor,
    *,
    canvas: tuple[int, int],
    img_shape: tuple[int, int],
    ori_shape: tuple[int, int],
) -> Tensor:
    """Bring mask logits to the size of the original picture.

    Two bilinear steps, as the public model does: to the padded input, then, cropped to the
    picture, to its original size.

    Args:
        mask_logits: (N, T, h, w).
        canvas: Size (H, W) of the padded input.
        img_shape: Size of the picture inside it.
        ori_shape: Size of the original picture.

    Returns:
        (N, T, *ori_shape), float32.
    """
    logits = F.interpolate(mask_logits.float(), size=canvas, mode='bilinear', align_corners=False)
    logits = logits[..., : img_shape[0], : img_shape[1]]
    return F.interpolate(logits, size=ori_shape, mode='bilinear', align_corners=False)


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
        scores, labels = class_logits.float().softmax(dim=-1).max(dim=-1)
        keep = (labels < self.num_classes) & (scores > self.object_mask_thr)
        index = keep.nonzero().squeeze(1)
        return index, scores[index], labels[index]

    def panoptic(self, mask_logits: Tensor, scores: Tensor, labels: Tensor) -> PanopticData:
        """Assemble a map.

        Args:
            mask_logits: Kept queries at the original size, (M, T, H, W).
            scores: (M,).
            labels: (M,).
        """
        segment_map = torch.zeros(
            mask_logits.shape[1:], dtype=torch.int32, device=mask_logits.device
        )
        if len(scores) == 0:
            return PanopticData(segment_map)
        probs = mask_logits.sigmoid()
        owner = (scores[:, None, None, None] * probs).argmax(dim=0)
        inside = probs >= 0.5
        own_area = inside.flatten(1).sum(dim=1)
        won_area = torch.bincount(owner.flatten(), minlength=len(scores))
        inside_owner = inside.gather(0, owner[None])[0]
        counted = inside_owner if self.filter_low_score else torch.ones_like(inside_owner)
        left_area = torch.bincount(owner[counted], minlength=len(scores))
        stays = (won_area > 0) & (own_area > 0) & (left_area > 0)
        stays &= won_area / own_area.clamp(min=1) >= self.iou_thr
        ids, segments = self._number(stays.tolist(), labels.tolist(), scores.tolist())
        id_of = torch.tensor(ids, dtype=torch.int32, device=mask_logits.device)
        return PanopticData(torch.where(counted, id_of[owner], segment_map), segments)

    def _number(
        self, stays: list[bool], labels: list[int], scores: list[float]
    ) -> tuple[list[int], list[Segment]]:
        """Segment id per query (0: none); queries of one stuff class share a segment."""
        ids: list[int] = []
        segments: list[Segment] = []
        stuff_ids: dict[int, int] = {}
        for stay, label, score in zip(stays, labels, scores, strict=True):
            if not stay:
                ids.append(0)
                continue
            if label in stuff_ids:
                ids.append(stuff_ids[label])
                continue
            new = len(segments) + 1
            is_thing = label < self.num_things
            if not is_thing:
                stuff_ids[label] = new
            segments.append(Segment(new, label, is_thing, score))
            ids.append(new)
        return ids, segments

    def candidates(self, class_logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The best (query, thing class) pairs: query indices, scores, labels, (M,) each."""
        probs = class_logits.float().softmax(dim=-1)[:, : self.num_classes]
        count = min(self.max_per_image, probs.numel())
        scores, index = probs.flatten().topk(count)
        queries, labels = index // self.num_classes, index % self.num_classes
        things = labels < self.num_things
        return queries[things], scores[things], labels[things]

    def instances(self, mask_logits: Tensor, scores: Tensor, labels: Tensor) -> InstanceData:
        """Score instances by class probability times mean mask probability.

        Args:
            mask_logits: (M, T, H, W).
            scores: Class probabilities, (M,).
            labels: (M,).

        Returns:
            masks (M, T, H, W) bool, labels, scores, and the boxes of the first frame.
        """
        masks = mask_logits > 0
        inside = (mask_logits.sigmoid() * masks).flatten(1).sum(dim=1)
        quality = inside / masks.flatten(1).sum(dim=1).clamp(min=1)
        return InstanceData(
            masks=masks, labels=labels, scores=scores * quality, bboxes=mask_boxes(masks[:, 0])
        )


def mask_boxes(masks: Tensor) -> Tensor:
    """Tight boxes xyxy around masks (N, H, W), pixel edges, zeros for empty masks, (N, 4)."""
    height, width = masks.shape[-2:]
    columns, rows = masks.any(dim=1), masks.any(dim=2)
    x1, y1 = columns.int().argmax(dim=1), rows.int().argmax(dim=1)
    x2 = width - columns.flip(1).int().argmax(dim=1)
    y2 = height - rows.flip(1).int().argmax(dim=1)
    boxes = torch.stack([x1, y1, x2, y2], dim=1).float()
    return boxes * columns.any(dim=1, keepdim=True)
