"""Prompts as queries, and where things are."""

from seg.models.prompts.prompt_encoder import CoordinateFrame, PromptEncoder, PromptQueries

__all__ = ['CoordinateFrame', 'PromptEncoder', 'PromptQueries']
