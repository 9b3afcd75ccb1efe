"""Cross-entropy of matched and of free queries, also where some classes are not annotated."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from seg.models.losses.targets import Assignment, Targets


def class_weight(target: Targets, num_queries: int, no_object_weight: float) -> Tensor:
    """Summed weights of a clip's queries in :func:`class_loss`, scalar.

    Where there are more segments than queries, the share of unlabelled ones among those that are
    matched is taken to be that among all.
    """
    num_rows = len(target.labels)
    labelled = (target.labels >= 0).sum().float()
    if target.queries is not None:
        return labelled
    matched = min(num_rows, num_queries)
    free = 0 if target.has_no_classes else num_queries - matched
    return labelled * (matched / max(num_rows, 1)) + no_object_weight * free


def class_loss(
    class_logits: Tensor,
    targets: Sequence[Targets],
    pairs: Sequence[Assignment],
    no_object_weight: float,
) -> Tensor:
    """Summed, weighted cross-entropy.

    A matched query answers with the class of its segment, unless that is unknown. A free query
    says "no object"; where the data set does not annotate every class, an object of the others may
    be there, so it is only asked to name no annotated class. Padded prompts do not count.

    Args:
        class_logits: (B, Q, K + 1), the last one is "no object".
        targets: One per clip.
        pairs: One per clip.
        no_object_weight: Weight of free queries.

    Returns:
        Scalar.
    """
    no_object = class_logits.shape[-1] - 1
    labels = torch.full(class_logits.shape[:2], no_object, device=class_logits.device)
    for i, (target, pair) in enumerate(zip(targets, pairs, strict=True)):
        if target.queries is not None or target.has_no_classes:
            labels[i] = -1
        labels[i, pair.queries] = target.labels[pair.rows]
    weights = torch.where(labels == no_object, no_object_weight, 1.0) * (labels >= 0)
    losses = F.cross_entropy(
        class_logits.flatten(0, 1), labels.flatten(), ignore_index=-1, reduction='none'
    ).view_as(labels)
    if any(target.annotated is not None for target in targets):
        named = [_named(rows, t.annotated) for rows, t in zip(class_logits, targets, strict=True)]
        losses = torch.where(labels == no_object, torch.stack(named), losses)
    return (losses * weights).sum()


def _named(class_logits: Tensor, annotated: Tensor | None) -> Tensor:
    """Minus the log-probability of naming no annotated class; (Q, K + 1) -> (Q,)."""
    refused = torch.ones_like(class_logits[0, :-1], dtype=torch.bool)
    refused = F.pad(refused if annotated is None else annotated, (0, 1), value=False)
    allowed = class_logits.masked_fill(refused, -torch.inf)
    return class_logits.logsumexp(dim=-1) - allowed.logsumexp(dim=-1)
