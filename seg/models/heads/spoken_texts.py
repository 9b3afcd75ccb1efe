"""Expressions of a training picture, all of them, and the objects that they name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from seg.models.heads.answered_rounds import covers_of
from seg.models.prompts import text_visual_loss
from seg.structures import ClipSample

if TYPE_CHECKING:
    from seg.models.heads.rapsam_video_head import RapSAMVideoHead
    from seg.structures import StageOutput


@dataclass(frozen=True)
class SpokenTexts:
    """The texts of a batch, whether or not they prompt anything.

    A step prompts with a few of a picture's expressions; matching texts with found objects is so
    much cheaper than segmenting them that it is trained with all.

    They speak about the first frame.

    Attributes:
        texts: Of each clip.
        masks: What each text names on the first frame, (N, 1, H, W), bool, one tensor per clip.
    """

    texts: list[list[str]]
    masks: list[Tensor]

    @classmethod
    def of(cls, samples: Sequence[ClipSample]) -> SpokenTexts:
        """Expressions of the clips' segments, or of their prompts where only those are known."""
        spoken, masks = [], []
        for sample in samples:
            named, rows = _named_segments(sample)
            shown = sample.gt_segments.masks[rows, :1]
            visible = shown.flatten(1).any(dim=1).tolist()
            kept = [i for i, text in enumerate(named) if text is not None and visible[i]]
            spoken.append([str(named[i]) for i in kept])
            masks.append(shown[kept])
        return cls(spoken, masks)

    def __len__(self) -> int:
        return sum(len(texts) for texts in self.texts)

    def losses(
        self,
        head: RapSAMVideoHead,
        wanted: frozenset[str],
        mask_features: Tensor,
        context_feats: Tensor | None,
        averages: Mapping[str, Tensor],
        found: StageOutput | None = None,
    ) -> dict[str, Tensor]:
        """Contrastive loss between texts and found objects, if it is wanted and there are texts.

        Args:
            head: Finds the objects and matches the texts.
            wanted: Names of the losses to compute.
            mask_features: (B, T, C, h, w).
            context_feats: (B, T, C, h', w') or ``None``.
            averages: Counts averaged over processes.
            found: The objects of the clips or of their first frames; looked for when left out.
        """
        if 'text_visual' not in wanted or not len(self):
            return {}
        features = mask_features[:, :1]
        if found is None:
            context = None if context_feats is None else context_feats[:, :1]
            found = head.find_objects(features, context)
        found = found._replace(mask_logits=found.mask_logits[:, :, :1])
        total = self._loss(head, features, found)
        return {'text_visual': total / averages['texts'].clamp(min=1)}

    def _loss(self, head: RapSAMVideoHead, mask_features: Tensor, found: StageOutput) -> Tensor:
        """Summed over texts."""
        words = head.prompt_encoder.fusion.words(self.texts)
        matches = head.text_matcher(words, found, mask_features)
        total = mask_features.new_zeros(())
        for i, masks in enumerate(self.masks):
            ious = _grid_ious(masks, found.mask_logits[i])
            total = total + text_visual_loss(matches.scores[i, : len(masks)], ious)
        return total


def _named_segments(sample: ClipSample) -> tuple[list[str | None], Tensor]:
    """Texts of a clip and the rows of the segments that they name."""
    if sample.get('expressions') is not None:
        return list(sample.expressions), torch.arange(len(sample.gt_segments.masks))
    if sample.get('prompts') is None:
        return [], torch.arange(0)
    return list(sample.prompts.texts), sample.prompt_targets


def _grid_ious(masks: Tensor, mask_logits: Tensor) -> Tensor:
    """IoU of true masks (M, T, H, W) and found ones (Q, T, h, w) on the grid, (M, Q)."""
    truth = (covers_of(masks, mask_logits.shape[-2:]) > 0.5).flatten(1).float()
    found = (mask_logits > 0).flatten(1).float()
    overlap = truth @ found.T
    union = truth.sum(dim=1, keepdim=True) + found.sum(dim=1) - overlap
    return overlap / union.clamp(min=1)
