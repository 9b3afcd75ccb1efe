"""Detectors."""

from seg.models.detectors.distiller import Distiller
from seg.models.detectors.efficient_sam import EfficientSamSegmentor
from seg.models.detectors.embedding_cache import EmbeddingCache
from seg.models.detectors.feature_embedder import FeatureEmbedder
from seg.models.detectors.mmdet_panoptic import MMDetPanoptic
from seg.models.detectors.promptable import PromptableSegmentor
from seg.models.detectors.rapsam import ClipFeatures, RapSAM
from seg.models.detectors.sam import SamSegmentor
from seg.models.detectors.sam3 import Sam3Segmentor
from seg.models.detectors.sam_panoptic import PanopticPromptedSam
from seg.models.detectors.sam_semantic import SamSemanticSegmentor
from seg.models.detectors.tuned_segmentor import TunedSegmentor

__all__ = [
    'ClipFeatures',
    'Distiller',
    'EfficientSamSegmentor',
    'EmbeddingCache',
    'FeatureEmbedder',
    'MMDetPanoptic',
    'PanopticPromptedSam',
    'PromptableSegmentor',
    'RapSAM',
    'Sam3Segmentor',
    'SamSegmentor',
    'SamSemanticSegmentor',
    'TunedSegmentor',
]
