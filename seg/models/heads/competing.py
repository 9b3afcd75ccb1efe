"""Objects that cannot overlap: which of them has a pixel."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

_EPS = 1e-3  # given masks are this far from 0 and 1


def compete(mask_logits: Tensor, visible: Tensor) -> Tensor:
    """Logits of objects that cannot overlap: those of a softmax over the objects and background.

    Source: Oh et al., "Video Object Segmentation using Space-Time Memory Networks", ICCV 2019,
    section 3.4 (soft aggregation, after Wug Oh et al., CVPR 2018); only the strongest rival counts.

    Args:
        mask_logits: (B, N, h, w), float32.
        visible: Which objects take part, (B, N), bool.
    """
    if mask_logits.shape[1] < 2:
        return mask_logits
    taking = mask_logits.masked_fill(~visible[..., None, None], -torch.inf)
    best = taking.topk(2, dim=1)
    is_best = torch.zeros_like(mask_logits, dtype=torch.bool)
    is_best.scatter_(1, best.indices[:, :1], torch.ones_like(is_best[:, :1]))
    rival = torch.where(is_best, best.values[:, 1:], best.values[:, :1])
    return mask_logits - F.softplus(rival)


def compete_with_given(
    mask_logits: Tensor, visible: Tensor, given: Tensor, exact: Tensor
) -> Tensor:
    """The same where masks of some objects stand as they were given, whatever others claim.

    Where given ones overlap, the smaller has the place: it mostly is a part of the other, or lies
    before it. In cells that a mask covers in part, others have at most the rest.

    Args:
        mask_logits: (B, N, h, w), float32.
        visible: Which objects take part, (B, N), bool.
        given: Share of each cell that masks cover, (B, N, h, w), in [0, 1], float32.
        exact: Which of them were given, (B, N), bool.
    """
    is_given = exact[..., None, None]
    settled = compete(torch.where(is_given, torch.logit(given, eps=_EPS), mask_logits), visible)
    shares = torch.where(is_given, given, 0.0)
    areas = shares.sum(dim=(2, 3))
    one, other = areas[:, :, None], areas[:, None]
    comes_first = torch.ones_like(one * other, dtype=torch.bool).tril(diagonal=-1)
    is_smaller = ((other < one) | ((other == one) & comes_first)).to(shares)  # of object n: row n
    left = 1 - torch.einsum('bnm,bmhw->bnhw', is_smaller, shares)
    kept = torch.logit(torch.minimum(given, left), eps=_EPS)
    taken = shares.sum(dim=1, keepdim=True)
    rest = torch.logit(1 - taken, eps=_EPS)
    others = torch.where(taken > 0, torch.minimum(settled, rest), settled)
    return torch.where(is_given, kept, others)
