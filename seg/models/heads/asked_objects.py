"""Prompts on their way into the decoder."""

from __future__ import annotations

from typing import NamedTuple

from seg.models.prompts import PromptQueries, TextMatches
from seg.structures import StageOutput


class AskedObjects(NamedTuple):
    """Prompts, encoded.

    Attributes:
        queries: What the decoder takes.
        matches: Texts and found objects; ``None`` where no object has a text alone.
        found: The objects that texts were matched with.
    """

    queries: PromptQueries
    matches: TextMatches | None = None
    found: StageOutput | None = None
