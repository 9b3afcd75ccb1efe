"""How well the assembled panoptic map fits, segment by segment."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

# A pixel that nobody claims more than half stays void, as in the map that is predicted.
_VOID_CLAIM = 0.5
# How strongly the largest claim wins; towards infinity the soft map becomes the predicted one.
_SHARPNESS = 2.0


def panoptic_overlap_loss(
    mask_logits: Tensor, class_logits: Tensor, queries: Tensor, coverage: Tensor
) -> Tensor:
    """One minus the IoU of each segment with what its query owns of the assembled map.

    In a panoptic map a pixel belongs to the query with the largest score times mask probability.
    Here it belongs to all of them, in shares that follow those claims, so that unlike the losses
    of single masks this one sees a query that takes pixels away from its neighbour. The IoU is
    what panoptic quality averages (Kirillov et al., "Panoptic Segmentation", CVPR 2019, eq. 1).
    Pixels of no segment, such as crowds and padding, do not count.

    Args:
        mask_logits: Of all queries, (Q, T, h, w).
        class_logits: (Q, K + 1).
        queries: The query of each segment, (M,), int64.
        coverage: Share of each cell that the segments cover, (N, T, h, w), in [0, 1]; the first M
            are those that have a query.

    Returns:
        (M,), in [0, 1].
    """
    scores = class_logits.log_softmax(dim=-1)[:, :-1].amax(dim=-1)
    claims = scores[:, None, None, None] + F.logsigmoid(mask_logits)
    void = torch.full_like(claims[:1], _VOID_CLAIM).log()
    shares = (_SHARPNESS * torch.cat([claims, void])).softmax(dim=0)
    known = coverage.sum(dim=0).clamp(max=1.0)
    owned = (shares[queries] * known).flatten(1)
    truth = coverage[: len(queries)].flatten(1)
    both = (owned * truth).sum(dim=1)
    either = owned.sum(dim=1) + truth.sum(dim=1) - both
    return 1 - both / either.clamp(min=1e-6)
