"""An EfficientSAM of a few thousand parameters."""

from __future__ import annotations

TOY_EFFICIENT_SAM = dict(
    embed_dim=24,
    num_heads=3,
    depth=2,
    native_size=64,
    position_grid=3,
    prompt_dim=32,
    decoder_heads=2,
    decoder_mlp_dim=48,
)
"""Sizes of a model whose table of positions has another size than its grid of patches."""
