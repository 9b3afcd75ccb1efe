"""Answers to prompts at the size of the picture."""

from __future__ import annotations

import torch
from mmengine.structures import InstanceData
from torch import Tensor

from seg.models.heads.mask_resizing import PictureSizes, resized_binary_masks, sharpened
from seg.models.prompts import ClickKeeper
from seg.structures import Prompts, StageOutput


def prompted_instances(
    output: StageOutput,
    index: int,
    prompts: Prompts,
    sizes: PictureSizes,
    *,
    mask_features: Tensor,
    num_tokens: int = 1,
    min_iou_score: float = 0.0,
    click_keeper: ClickKeeper | None = None,
) -> InstanceData:
    """Rank an object's candidate masks by predicted quality and empty the poor ones.

    Args:
        output: The last prediction of a batch.
        index: Which clip of the batch.
        prompts: Its N prompts.
        sizes: The way to the picture.
        mask_features: Of the clip, (T, C, h, w).
        num_tokens: Masks M per object.
        min_iou_score: Masks whose predicted IoU is below come back empty.
        click_keeper: What makes masks obey the clicks, if anything.

    Returns:
        object_ids (N,), masks (N, M, T, H, W) bool and iou_scores (N, M), best first, and
        low_res_logits (N, M, T, h, w), float32, and fine_logits, the same or on a finer grid.
    """
    assert output.iou_logits is not None, 'prompted objects need a quality estimate'
    num_rows = len(prompts)
    quality = output.iou_logits[index, : num_rows * num_tokens].float().clamp(0, 1)
    ranked, order = quality.view(num_rows, num_tokens).sort(dim=1, descending=True)
    first_row = num_tokens * torch.arange(num_rows, device=order.device).unsqueeze(1)
    logits = output.mask_logits[index, (first_row + order).flatten()].float()
    if click_keeper is not None:
        logits = _with_clicks_kept(logits, prompts, mask_features, sizes, click_keeper)
    fine, rest = sharpened(logits, sizes)
    if click_keeper is not None and sizes['sharpen'] is not None:
        fine = _with_clicks_kept(fine, prompts, mask_features, sizes, click_keeper)
    masks = resized_binary_masks(fine, rest)
    masks = masks.unflatten(0, (num_rows, num_tokens))
    masks &= (ranked >= min_iou_score)[:, :, None, None, None]
    return InstanceData(
        object_ids=prompts.object_ids,
        masks=masks,
        iou_scores=ranked,
        low_res_logits=logits.unflatten(0, (num_rows, num_tokens)),
        fine_logits=fine.unflatten(0, (num_rows, num_tokens)),
    )


def _with_clicks_kept(
    mask_logits: Tensor,
    prompts: Prompts,
    mask_features: Tensor,
    sizes: PictureSizes,
    keeper: ClickKeeper,
) -> Tensor:
    """Masks (N * M, T, h, w) whose first frame obeys the points of its object."""
    num_tokens = len(mask_logits) // max(1, len(prompts))
    points = prompts.point_coords.to(mask_logits.device).repeat_interleave(num_tokens, dim=0)
    labels = prompts.point_labels.to(mask_logits.device).repeat_interleave(num_tokens, dim=0)
    first = keeper(mask_logits[:, 0], points, labels, mask_features[0], canvas=sizes['canvas'])
    return torch.cat([first.unsqueeze(1), mask_logits[:, 1:]], dim=1)
