"""A training step of prompted objects: several rounds of prompts and answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from seg.models.heads.answered_rounds import (
    AnsweredRound,
    alignment_loss,
    count_rounds,
    covers_of,
    round_losses,
)
from seg.models.heads.prompt_rounds import corrected_prompts
from seg.models.heads.spoken_texts import SpokenTexts
from seg.models.losses import Targets
from seg.models.prompts import MaskTokens
from seg.models.routing import Route
from seg.structures import ClipSample, Prompts, StageOutput

if TYPE_CHECKING:
    from seg.models.heads.rapsam_video_head import RapSAMVideoHead


class ObjectTraining:
    """A training step of objects that the model finds itself: one pass of the decoder.

    Where the pictures come with expressions and the table asks for ``text_visual``, texts learn
    which of the found objects they name; that costs little beside the pass.

    Args:
        head: Whose step it is.
        wanted: Names of the losses to compute.
        mask_features: (B, T, C, h, w).
        outputs: Predictions of all stages.
        samples: With their expressions, if there are any.
        targets: One per clip.
    """

    def __init__(
        self,
        head: RapSAMVideoHead,
        wanted: frozenset[str],
        mask_features: Tensor,
        outputs: Sequence[StageOutput],
        samples: Sequence[ClipSample],
        targets: Sequence[Targets],
    ) -> None:
        self.head = head
        self.wanted = wanted
        self.mask_features = mask_features
        self.outputs = outputs
        self.targets = targets
        self.spoken = SpokenTexts.of(samples) if 'text_visual' in wanted else SpokenTexts([], [])

    def counts(self) -> dict[str, Tensor | float]:
        """What the losses are divided by, for :class:`StepAverages`."""
        return {
            'texts': float(len(self.spoken)),
            **self.head.criterion.counts(self.outputs, self.targets),
        }

    def losses(self, averages: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Raw losses, divided by averaged counts."""
        sharpen = self.head.sharpening(self.mask_features)
        raw = self.head.criterion(self.outputs, self.targets, self.wanted, averages, sharpen)
        return raw | self.spoken.losses(
            self.head,
            self.wanted,
            self.mask_features,
            None,
            averages,
            self.outputs[-1],
        )


class PromptTraining:
    """One step: answer the prompts, then correcting clicks, as often as the head asks for.

    In the first round a head with candidates answers with those too. Of an object's candidates
    only the best gets mask losses (Kirillov et al., "Segment Anything", ICCV 2023, section 3); the
    quality estimate of every one is trained.

    Args:
        head: Whose step it is.
        route: The way of the batch.
        wanted: Names of the losses to compute.
        mask_features: (B, T, C, h, w).
        context_feats: (B, T, C, h', w') or ``None``.
        samples: With their prompts.
        targets: One row per prompt.
    """

    def __init__(
        self,
        head: RapSAMVideoHead,
        route: Route,
        wanted: frozenset[str],
        mask_features: Tensor,
        context_feats: Tensor | None,
        samples: Sequence[ClipSample],
        targets: Sequence[Targets],
    ) -> None:
        self.head = head
        self.wanted = wanted
        self.mask_features = mask_features
        self.context_feats = context_feats
        self.samples = samples
        self.targets = targets
        self.spoken = SpokenTexts.of(samples)
        self.sharpen = head.sharpening(mask_features)
        prompts = [sample.prompts for sample in samples]
        tokens = MaskTokens.BOTH if head.prompt_encoder.num_candidates else MaskTokens.SINGLE
        self.asked = head.encode_prompts(prompts, samples, mask_features, context_feats, tokens)
        outputs = head(mask_features, context_feats, route, self.asked.queries)
        self.rounds = [self._judge(outputs, self.asked.queries.num_tokens)]
        for _ in range(head.correction_rounds):
            prompts = self._corrected(prompts)
            asked = head.encode_prompts(prompts, samples, mask_features, context_feats)
            outputs = head(mask_features, context_feats, route, asked.queries)
            self.rounds.append(self._judge(outputs, asked.queries.num_tokens))

    def _corrected(self, prompts: Sequence[Prompts]) -> list[Prompts]:
        """The prompts with a correcting click for the last answers."""
        last = self.rounds[-1]
        logits = last.outputs[-1].mask_logits[:, :: last.num_tokens]
        return [
            corrected_prompts(rows, logits[i, : len(rows)], self.targets[i].masks)
            for i, rows in enumerate(prompts)
        ]

    def _judge(self, outputs: Sequence[StageOutput], num_tokens: int) -> AnsweredRound:
        """Who answers for which target."""
        single = self.head.prompt_encoder.mask_tokens.num_embeddings
        every = [_repeated(target, range(num_tokens), num_tokens) for target in self.targets]
        if num_tokens == single:
            return AnsweredRound(outputs, num_tokens, every, every, self.sharpen)
        chosen = []
        for i, target in enumerate(self.targets):
            logits = outputs[-1].mask_logits[i]
            best = replace(target, queries=_best_candidates(logits, target, num_tokens, single))
            chosen.append(_joined(_repeated(target, range(single), num_tokens), best))
        return AnsweredRound(outputs, num_tokens, chosen, every, self.sharpen)

    def counts(self) -> dict[str, Tensor | float]:
        """What the losses are divided by, summed over the rounds."""
        return {
            'prompts': float(sum(len(target.labels) for target in self.targets)),
            'texts': float(len(self.spoken)),
            **count_rounds(self.head.criterion, self.rounds),
        }

    def losses(self, averages: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Raw losses, divided by averaged counts and so means over the rounds."""
        raw = round_losses(self.head.criterion, self.rounds, self.wanted, averages)
        size = self.mask_features.shape[-2:]
        covers = [covers_of(sample.gt_segments.masks, size) for sample in self.samples]
        rows = [sample.prompt_targets for sample in self.samples]
        raw |= alignment_loss(
            self.head, self.asked, self.wanted, self.mask_features, covers, rows, averages
        )
        return raw | self.spoken.losses(
            self.head,
            self.wanted,
            self.mask_features,
            self.context_feats,
            averages,
            self.asked.found,
        )


def _repeated(target: Targets, tokens: range, num_tokens: int) -> Targets:
    """Rows of a clip's targets for some of the mask tokens of every object."""
    device = target.labels.device
    num = len(target.labels)
    first = num_tokens * torch.arange(num, device=device).unsqueeze(1)
    queries = (first + torch.tensor(list(tokens), device=device)).flatten()
    rows = torch.arange(num, device=device).repeat_interleave(len(tokens))
    return replace(target, masks=target.masks[rows], labels=target.labels[rows], queries=queries)


def _joined(first: Targets, second: Targets) -> Targets:
    assert first.queries is not None, 'prompts name their queries'
    assert second.queries is not None, 'prompts name their queries'
    return replace(
        first,
        masks=torch.cat([first.masks, second.masks]),
        labels=torch.cat([first.labels, second.labels]),
        queries=torch.cat([first.queries, second.queries]),
    )


@torch.no_grad()
def _best_candidates(mask_logits: Tensor, target: Targets, num_tokens: int, single: int) -> Tensor:
    """Query of the candidate that fits each object best, (N,).

    Args:
        mask_logits: Of one clip, (Q, T, h, w).
        target: One row per object.
        num_tokens: Queries per object.
        single: How many of them are no candidates.
    """
    num = len(target.labels)
    logits = mask_logits[: num * num_tokens].unflatten(0, (num, num_tokens))[:, single:]
    probs = logits.flatten(2).float().sigmoid()
    wanted = covers_of(target.masks, mask_logits.shape[-2:]).flatten(1).unsqueeze(1)
    overlap = 2 * (probs * wanted).sum(dim=-1) + 1
    dice = 1 - overlap / (probs.sum(dim=-1) + wanted.sum(dim=-1) + 1)
    cross_entropy = F.binary_cross_entropy_with_logits(
        logits.flatten(2).float(), wanted.expand_as(probs), reduction='none'
    )
    best = (dice + cross_entropy.mean(dim=-1)).argmin(dim=1)
    return num_tokens * torch.arange(num, device=best.device) + single + best
