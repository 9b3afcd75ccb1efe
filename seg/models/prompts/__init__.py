"""Prompts as queries, where things are, and what words mean."""

from seg.models.prompts.prompt_encoder import CoordinateFrame, PromptEncoder, PromptQueries
from seg.models.prompts.vocabulary_text_encoder import VocabularyTextEncoder

__all__ = ['CoordinateFrame', 'PromptEncoder', 'PromptQueries', 'VocabularyTextEncoder']
