"""Detectors."""

from seg.models.detectors.distiller import Distiller
from seg.models.detectors.embedding_cache import EmbeddingCache
from seg.models.detectors.promptable import PromptableSegmentor
from seg.models.detectors.rapsam import ClipFeatures, RapSAM
from seg.models.detectors.sam import SamSegmentor
from seg.models.detectors.sam_semantic import SamSemanticSegmentor

__all__ = [
    'ClipFeatures',
    'Distiller',
    'EmbeddingCache',
    'PromptableSegmentor',
    'RapSAM',
    'SamSegmentor',
    'SamSemanticSegmentor',
]
