"""Classifier by cosine similarity to text embeddings of the class names."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from mmengine.model import BaseModule
from torch import Tensor
from torch.nn import functional as F

from seg.models.classifiers.text_prompts import read_text_embedding
from seg.registry import MODELS

_LOG_SCALE = 4.6052  # CLIP's learned temperature, about log(100)


@MODELS.register_module()
class TextEmbeddingClassifier(BaseModule):
    """Logits are scaled cosines to frozen text prototypes; "no object" is always exactly zero.

    A class has P prototypes (synonyms) and takes the best of them. The prototypes travel with the
    checkpoint, so a model cannot be evaluated with another vocabulary by accident; swap them on
    purpose with :meth:`set_prototypes`.

    Args:
        num_classes: K.
        embed_channels: Width D of the text embedding.
        embedding_file: Prototypes made by ``tools/gen_cls.py``, read when weights are
            initialised. Left out, each class gets a fixed pseudo-random unit vector instead,
            which is as good as a one-hot code but knows nothing of language.
        temperature: Stage logits are divided by it, those of the adapter are not. The public
            model uses 0.1; 1.0 leaves all alike and trains better from scratch.
    """

    prototypes: Tensor

    def __init__(
        self,
        num_classes: int,
        embed_channels: int,
        *,
        embedding_file: str | None = None,
        temperature: float = 1.0,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.embedding_file = embedding_file
        self.temperature = temperature
        generator = torch.Generator().manual_seed(0)
        random = torch.randn(num_classes, 1, embed_channels, generator=generator)
        self.register_buffer('prototypes', F.normalize(random, dim=-1))
        self.register_load_state_dict_pre_hook(_adopt_shapes)

    def init_weights(self) -> None:
        """Read ``embedding_file`` where one is given."""
        if self.embedding_file is not None:
            prototypes, _ = read_text_embedding(self.embedding_file)
            self.set_prototypes(prototypes)

    def set_prototypes(self, prototypes: Tensor) -> None:
        """Take over text embeddings, for example of ``tools/gen_cls.py``.

        Args:
            prototypes: Unit vectors, (K, P, D).

        Raises:
            ValueError: If the class count or width differs, or rows are not unit vectors.
        """
        want = (self.prototypes.shape[0], self.prototypes.shape[2])
        got = (prototypes.shape[0], prototypes.shape[-1])
        if prototypes.ndim != 3 or want != got:
            raise ValueError(
                f'prototypes: expected shape ({want[0]} classes, P, {want[1]}), got '
                f'{tuple(prototypes.shape)}; make them for this label space with tools/gen_cls.py'
            )
        norms = prototypes.float().norm(dim=-1)
        if not torch.allclose(norms, torch.ones_like(norms), atol=1e-3):
            raise ValueError(
                f'prototypes: expected unit vectors, got lengths from {norms.min():.3g} to '
                f'{norms.max():.3g}; normalise each text embedding'
            )
        self.prototypes = prototypes.to(self.prototypes)

    def adopted_shapes(
        self, state: Mapping[str, Tensor], prefix: str
    ) -> dict[str, tuple[int, ...]]:
        """Let a checkpoint bring another number P of prototypes per class than was built.

        Args:
            state: Weights by name.
            prefix: What the names of this module's tensors start with.

        Returns:
            The name of the prototypes and the shape to load, if they are those of K classes and
            of width D; nothing otherwise.
        """
        name = f'{prefix}prototypes'
        stored = state.get(name)
        num_classes, _, width = self.prototypes.shape
        if stored is None or stored.ndim != 3 or not stored.shape[1]:
            return {}
        if (stored.shape[0], stored.shape[2]) != (num_classes, width):
            return {}
        return {name: tuple(stored.shape)}

    def forward(self, embeddings: Tensor, *, final: bool) -> Tensor:
        """Map (B, Q, D) to logits (B, Q, K + 1), float32.

        Args:
            embeddings: Class embeddings of any length.
            final: Whether they come from the adapter, whose logits have no temperature.
        """
        with torch.autocast(embeddings.device.type, enabled=False):
            unit = F.normalize(embeddings.float(), dim=-1)
            cosines = unit @ self.prototypes.float().flatten(0, 1).T  # (B, Q, K*P)
            best = cosines.unflatten(-1, self.prototypes.shape[:2]).amax(dim=-1)
            logits = F.pad(best * math.exp(_LOG_SCALE), (0, 1))
            return logits if final else logits / self.temperature


def _adopt_shapes(
    module: TextEmbeddingClassifier, state_dict: dict, prefix: str, *_unused: object
) -> None:
    for shape in module.adopted_shapes(state_dict, prefix).values():
        if shape != module.prototypes.shape:
            module.prototypes = module.prototypes.new_zeros(shape)
