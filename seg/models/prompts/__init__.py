"""Prompts as queries, where things are, and what words mean."""

from seg.models.prompts.click_keeper import ClickKeeper
from seg.models.prompts.mask_refiner import MaskRefiner, RefinedMasks
from seg.models.prompts.prompt_encoder import CoordinateFrame, PromptEncoder
from seg.models.prompts.prompt_fusion import PromptFusion, PromptKind
from seg.models.prompts.prompt_queries import MaskTokens, PromptQueries
from seg.models.prompts.text_encoder import TextEncoder
from seg.models.prompts.text_matcher import TextMatcher, TextMatches, text_visual_loss
from seg.models.prompts.vocabulary_text_encoder import VocabularyTextEncoder

__all__ = [
    'ClickKeeper',
    'CoordinateFrame',
    'MaskRefiner',
    'MaskTokens',
    'PromptEncoder',
    'PromptFusion',
    'PromptKind',
    'PromptQueries',
    'RefinedMasks',
    'TextEncoder',
    'TextMatcher',
    'TextMatches',
    'VocabularyTextEncoder',
    'text_visual_loss',
]
