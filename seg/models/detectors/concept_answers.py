"""From what is found for phrases to answers: instances of every row, and the best of them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmdet.structures.bbox import bbox_cxcywh_to_xyxy, bbox_overlaps
from mmengine.structures import InstanceData
from torch import Tensor

from ext.sam3 import EXEMPLAR_PHRASE, ConceptOutputs
from seg.models.heads.mask_resizing import PictureSizes, resized_binary_masks
from seg.structures import ClipSample, Prompts
from seg.structures.prompted_masks import PromptedMasks
from seg.utils.checks import UserError

NUM_CANDIDATES = 4
"""Masks kept per row as answers to an interactive prompt, best first."""


def row_phrases(prompts: Sequence[Prompts], shown: Tensor) -> list[str]:
    """What each row is called.

    Args:
        prompts: Of all images.
        shown: Which rows have a box, (R,), bool.

    Raises:
        UserError: If a row has neither phrase nor box.
    """
    texts = [text for rows in prompts for text in rows.texts]
    for text, has_box in zip(texts, shown.tolist(), strict=True):
        if text is None and not has_box:
            raise UserError(
                'prompts: expected a phrase or a box for every row, got a row with neither; '
                'SAM 3 understands phrases and boxes around examples'
            )
    return [EXEMPLAR_PHRASE if text is None else text for text in texts]


def join_passes(passes: Sequence[tuple[Tensor, ConceptOutputs]]) -> ConceptOutputs:
    """What all passes found, in the order of the rows."""
    order = torch.cat([rows for rows, _ in passes]).argsort()
    joined = []
    for name, values in zip(
        ConceptOutputs._fields, zip(*(found for _, found in passes), strict=True), strict=True
    ):
        dim = 0 if name in ('mask_logits', 'semantic_logits') else 1
        together = values[0] if len(values) == 1 else torch.cat(values, dim=dim)
        joined.append(together.index_select(dim, order.to(together.device)))
    return ConceptOutputs(*joined)


def best_instances(outputs: ConceptOutputs, boxes: Tensor, image_size: int) -> PromptedMasks:
    """The instances that answer best, (n, M, h, w) and (n, M); where a box shows one, those there.

    Args:
        outputs: Of n rows.
        boxes: xyxy in pixels of the canvas, NaN where there is none, (n, 4).
        image_size: Side of the canvas, pixels.
    """
    found = bbox_cxcywh_to_xyxy(outputs.boxes[-1]).float() * image_size
    overlap = bbox_overlaps(found, boxes[:, None].float())[..., 0]
    known = ~boxes.isnan().any(dim=1)
    scores = torch.where(known[:, None], outputs.scores * overlap, outputs.scores)
    best = scores.topk(min(NUM_CANDIDATES, scores.shape[1]), dim=1)
    rows = torch.arange(len(scores), device=scores.device)[:, None]
    return PromptedMasks(outputs.mask_logits[rows, best.indices], best.values)


def row_instances(
    outputs: ConceptOutputs,
    index: int,
    row: int,
    sample: ClipSample,
    sizes: PictureSizes,
    threshold: float,
) -> InstanceData:
    """Instances of one row above a score, best first, at the original size.

    Args:
        outputs: Of several rows.
        index: The row's place among them.
        row: Its place among those of its image.
        sample: The image; if it has ``phrase_labels``, they are the instances' labels.
        sizes: Of the canvas, of the image on it, and of the original.
        threshold: Least score.
    """
    scores = outputs.scores[index]
    order = scores.argsort(descending=True, stable=True)
    order = order[scores[order] > threshold]
    (canvas, _), (height, width) = sizes['canvas'], sizes['img_shape']
    full_height, full_width = sizes['ori_shape']
    boxes = bbox_cxcywh_to_xyxy(outputs.boxes[-1][index, order]).float() * canvas
    limits = boxes.new_tensor([full_width, full_height] * 2)
    boxes = boxes * limits / boxes.new_tensor([width, height] * 2)
    labels = sample.get('phrase_labels')
    label = row if labels is None else int(labels[row])
    return InstanceData(
        masks=resized_binary_masks(outputs.mask_logits[index, order][:, None], sizes),
        scores=scores[order],
        bboxes=boxes.clamp(min=0).minimum(limits),
        labels=torch.full_like(order, label),
        rows=torch.full_like(order, row),
    )


def no_instances(sample: ClipSample) -> InstanceData:
    """What is found where nothing was asked for."""
    empty = torch.zeros(0, dtype=torch.long)
    return InstanceData(
        masks=torch.zeros(0, 1, *sample.ori_shape, dtype=torch.bool),
        scores=torch.zeros(0),
        bboxes=torch.zeros(0, 4),
        labels=empty,
        rows=empty,
    )
