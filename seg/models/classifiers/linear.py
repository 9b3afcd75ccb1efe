"""Classifier with learned weights per class."""

from __future__ import annotations

from torch import Tensor, nn

from seg.registry import MODELS


@MODELS.register_module()
class LinearClassifier(nn.Module):
    """One linear layer from class embeddings to logits; the usual choice for a closed vocabulary.

    Args:
        num_classes: K.
        embed_channels: Width D of the embeddings.
    """

    def __init__(self, num_classes: int, embed_channels: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.linear = nn.Linear(embed_channels, num_classes + 1)

    def forward(self, embeddings: Tensor, *, final: bool) -> Tensor:
        """Map (B, Q, D) to logits (B, Q, K + 1), the last one "no object".

        Args:
            embeddings: Class embeddings.
            final: Whether they come from the adapter; makes no difference here.
        """
        return self.linear(embeddings)
