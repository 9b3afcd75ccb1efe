"""The tokens of open_clip's vocabulary, and text towers that know a few of them only."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import open_clip
from open_clip.transformer import TextTransformer
from torch import Tensor, nn

MAX_TOKEN_BYTES = 32
"""Length of the longest token of the vocabulary."""


@lru_cache(maxsize=1)
def _tokenizer() -> open_clip.SimpleTokenizer:
    return open_clip.SimpleTokenizer()


@lru_cache(maxsize=4096)
def text_tokens(text: str) -> tuple[int, ...]:
    """The tokens of a text, lower case, without those of start and end."""
    return tuple(_tokenizer().encode(text))


def special_tokens() -> tuple[int, int]:
    """The tokens of start and end."""
    tokenizer = _tokenizer()
    return tokenizer.sot_token_id, tokenizer.eot_token_id


def vocabulary_tokens(vocabulary: Sequence[str]) -> tuple[int, ...]:
    """All tokens that the words of a vocabulary need, ascending."""
    return tuple(sorted({token for word in vocabulary for token in text_tokens(word)}))


class MeanTextTower(nn.Module):
    """A text tower that reads in both directions and averages over the tokens of a sentence.

    open_clip's own towers are causal and read the token that ends a sentence. From scratch, on
    few sentences, such a tower names the noun of an expression and stays blind to its colour and
    place; this one, on the same data, learns all words within a few hundred steps.

    Args:
        tower: open_clip's text transformer without pooling and causal mask; token 0 is padding.
    """

    def __init__(self, tower: TextTransformer) -> None:
        super().__init__()
        self.tower = tower

    def forward(self, tokens: Tensor) -> Tensor:
        """Embed sentences: (N, context) int64, padded with zeros, to (N, D)."""
        embedded, said = self.words(tokens)
        mean: Tensor = embedded.sum(dim=1) / said.sum(dim=1, keepdim=True)
        return mean

    def words(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Embed the tokens of sentences.

        Args:
            tokens: (N, context), int64, padded with zeros.

        Returns:
            The embedded tokens, zero behind the end, (N, L, D), for the L of the longest sentence,
            and where there are any, (N, L), bool.
        """
        length = int((tokens != 0).any(dim=0).nonzero().max()) + 1
        tokens = tokens[:, :length].to(self.tower.token_embedding.weight.device)
        said = tokens != 0
        return self.tower(tokens) * said.unsqueeze(-1), said


def build_text_tower(
    vocab_size: int, width: int, *, num_layers: int, num_heads: int, context_length: int
) -> MeanTextTower:
    """Build a text tower of open_clip's classes with random weights.

    Token 0 is padding. Words and their places start 20 times as large as open_clip starts them:
    they are all that such a small tower has to tell sentences apart.

    Args:
        vocab_size: Number of tokens.
        width: Width of the layers and of the embedding; a multiple of ``num_heads``.
        num_layers: Number of layers.
        num_heads: Number of heads.
        context_length: Most tokens of a text.
    """
    transformer = TextTransformer(
        context_length=context_length,
        vocab_size=vocab_size,
        width=width,
        heads=num_heads,
        layers=num_layers,
        output_dim=width,
        pool_type='none',
        no_causal_mask=True,
        use_pad_mask=True,
    )
    nn.init.normal_(transformer.token_embedding.weight, std=0.4)
    nn.init.normal_(transformer.positional_embedding, std=0.2)
    return MeanTextTower(transformer)
