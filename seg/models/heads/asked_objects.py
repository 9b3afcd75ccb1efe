"""Prompts on their way into the decoder."""

from __future__ import annotations

from typing import NamedTuple

from seg.models.prompts import PromptQueries
from seg.structures import StageOutput


class AskedObjects(NamedTuple):
    """Prompts, encoded.

    Attributes:
        queries: What the decoder takes.
        found: The objects that texts were matched with, without gradient; ``None`` where no object
            has a text alone.
    """

    queries: PromptQueries
    found: StageOutput | None = None
