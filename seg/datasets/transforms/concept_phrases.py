"""Phrases that name classes, present or not, for models that find all instances of a phrase."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmcv.transforms import BaseTransform

from seg.datasets.transforms.results import Results, require_in_step, rng_of
from seg.registry import TRANSFORMS
from seg.structures import Prompts
from seg.utils.checks import UserError


@TRANSFORMS.register_module()
class ConceptPhrases(BaseTransform):
    """One row of ``prompts`` per phrase, and ``phrase_labels``: the class that each one names.

    Classes without a phrase, or not among ``labels``, are not asked for.

    Args:
        phrases: Phrases of the classes, in the order of their labels.
        max_present: Most phrases that the image has; some at random if it has more.
        num_absent: Phrases that it has not, at random; one at least where it has none at all.
            ``None`` asks for all classes, in order, without chance.
        labels: Classes that may be asked for; by default all that have a phrase.

    Raises:
        UserError: If there are no phrases, or a number is too small.
    """

    def __init__(
        self,
        phrases: Sequence[str],
        max_present: int = 4,
        num_absent: int | None = None,
        labels: Sequence[int] | None = None,
    ) -> None:
        if not phrases or not all(phrase.strip() for phrase in phrases):
            raise UserError(f'ConceptPhrases.phrases: expected phrases, got {list(phrases)}')
        if max_present < 1 or (num_absent is not None and num_absent < 0):
            raise UserError(
                'ConceptPhrases: expected max_present >= 1 and num_absent >= 0 or None, got '
                f'{max_present} and {num_absent}'
            )
        every = range(len(phrases))
        self.labels = tuple(every if labels is None else labels)
        if not self.labels or not set(self.labels) <= set(every):
            raise UserError(
                f'ConceptPhrases.labels: expected classes that have one of {len(phrases)} phrases, '
                f'got {list(self.labels)}'
            )
        self.phrases = tuple(phrases)
        self.max_present = max_present
        self.num_absent = num_absent

    def transform(self, results: Results) -> Results:
        """Add phrases to one sample."""
        require_in_step(results, 'ConceptPhrases')
        labels = self._labels(results)
        results['phrase_labels'] = labels
        results['prompts'] = Prompts.create(texts=[self.phrases[label] for label in labels])
        return results

    def _labels(self, results: Results) -> list[int]:
        if self.num_absent is None:
            return list(self.labels)
        seen = results['masks'].flatten(1).any(dim=1) & ~results['is_crowd']
        present = set(torch.unique(results['labels'][seen]).tolist()) & set(self.labels)
        absent = [label for label in self.labels if label not in present]
        rng = rng_of(results)
        chosen = rng.permutation(sorted(present))[: self.max_present].tolist()
        count = max(self.num_absent, 0 if chosen else 1)
        return [int(label) for label in [*chosen, *rng.permutation(absent)[:count].tolist()]]
