"""What the queries of a clip should answer, and which of them do."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Targets:
    """Ground truth of one clip.

    Attributes:
        masks: (N, T, H, W), bool, at the size of the padded input.
        labels: (N,), int64; -1 where the class is unknown.
        queries: Query of each row where prompts name it, (N,); ``None`` where it is matched.
        compared: The masks as the criterion's sampling prepares them, once for all stages.
        annotated: Which classes the data set annotates, (K,), bool; ``None`` for all of them.
            Segments of the others are in the picture without being marked.
    """

    masks: Tensor
    labels: Tensor
    queries: Tensor | None = None
    compared: Tensor | None = None
    annotated: Tensor | None = None

    @property
    def has_no_classes(self) -> bool:
        """Whether the data set annotates no class at all."""
        return self.annotated is not None and not bool(self.annotated.any())


@dataclass(frozen=True)
class Assignment:
    """Which queries of a clip answer which rows of its targets; (M,) each, int64."""

    queries: Tensor
    rows: Tensor
