"""Classifiers: class embeddings of queries to class logits."""

from seg.models.classifiers.linear import LinearClassifier
from seg.models.classifiers.text_embedding import TextEmbeddingClassifier

__all__ = ['LinearClassifier', 'TextEmbeddingClassifier']
