"""What the network returns."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class StageOutput(NamedTuple):
    """Predictions of one decoder stage, or of a task adapter, for a batch of clips.

    Attributes:
        queries: Object embeddings after the stage, (B, Q, C).
        mask_logits: (B, Q, T, h, w) at the stride of ``mask_features``.
        class_logits: (B, Q, K + 1), the last one is "no object"; ``None`` from the prompt
            adapter, which leaves classes to the stages.
        iou_logits: Predicted mask quality before clamping to [0, 1], (B, Q); ``None`` from
            the masks that a memory proposes.
    """

    queries: Tensor
    mask_logits: Tensor
    class_logits: Tensor | None
    iou_logits: Tensor | None
