"""The one place that imports transformers: SAM 3's modules from sizes, without weights."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import nn

from ext.sam3.adapter_places import add_adapter_places
from ext.sam3.phrases import VOCABULARY_SIZE
from ext.sam3.variants import Sam3Variant
from seg.utils.checks import UserError

SAM3_PARTS = (
    'vision_encoder',
    'text_encoder',
    'text_projection',
    'geometry_encoder',
    'detr_encoder',
    'detr_decoder',
    'mask_decoder',
    'dot_product_scoring',
)
"""Modules of transformers' ``Sam3Model``; their names are those of the checkpoint."""

TEXT_PARTS = ('text_encoder', 'text_projection')
"""Those that turn phrases into embeddings."""

UNREACHABLE = (
    r'^vision_encoder\.neck\.fpn_layers\.3\.',
    r'^text_encoder\.text_projection\.',
    r'^mask_decoder\.pixel_decoder\.(conv_layers|norms)\.2\.',
)
"""Names, as regular expressions, of parameters that no output depends on."""


def import_transformers() -> Any:
    """transformers, which is slow to import and optional.

    Raises:
        UserError: If it is missing, or too old to know SAM 3.
    """
    try:
        import transformers
    except ImportError as error:
        raise UserError(
            'SAM 3: expected the package transformers, which is not installed (or not usable: '
            f"{error}); pip install 'rapsam[sam3]'"
        ) from error
    try:
        transformers.Sam3Model  # noqa: B018  (imported when asked for)
    except (AttributeError, ImportError) as error:
        raise UserError(
            'SAM 3: expected transformers from 5.5 on, got '
            f"{transformers.__version__}, which has no Sam3Model; pip install 'rapsam[sam3]'"
        ) from error
    return transformers


def build_sam3(variant: Sam3Variant, *, with_text: bool = True) -> nn.ModuleDict:
    """The modules of :data:`SAM3_PARTS` with random weights.

    Args:
        variant: Sizes.
        with_text: Whether :data:`TEXT_PARTS` are among them; they are never allocated otherwise.
    """
    host = import_transformers()
    if not with_text:  # transformers builds all, so those that are left out are made small
        variant = replace(variant, text_dim=64, text_layers=1, text_heads=1, text_mlp_dim=64)
    model = host.Sam3Model(_config(host, variant))
    add_adapter_places(model.vision_encoder.backbone.layers)
    left_out = () if with_text else TEXT_PARTS
    return nn.ModuleDict(
        {name: getattr(model, name) for name in SAM3_PARTS if name not in left_out}
    )


def _config(host: Any, variant: Sam3Variant) -> Any:
    """Transformers' configuration of a variant."""
    behind = dict(
        hidden_size=variant.width,
        num_attention_heads=variant.num_heads,
        intermediate_size=variant.mlp_dim,
        dropout=variant.dropout,
    )
    grid = variant.grid
    return host.Sam3Config(
        vision_config=host.Sam3VisionConfig(
            backbone_config=host.Sam3ViTConfig(
                hidden_size=variant.vit_dim,
                intermediate_size=variant.vit_mlp_dim,
                num_hidden_layers=variant.vit_depth,
                num_attention_heads=variant.vit_heads,
                image_size=variant.image_size,
                patch_size=variant.patch_size,
                window_size=variant.window_size,
                global_attn_indexes=list(variant.global_blocks),
                pretrain_image_size=variant.pretrain_size,
            ),
            fpn_hidden_size=variant.width,
            backbone_feature_sizes=[[scale * grid] * 2 for scale in (4, 2, 1)],
        ),
        text_config=host.CLIPTextConfig(
            vocab_size=VOCABULARY_SIZE,
            hidden_size=variant.text_dim,
            intermediate_size=variant.text_mlp_dim,
            projection_dim=variant.text_dim // 2,
            num_hidden_layers=variant.text_layers,
            num_attention_heads=variant.text_heads,
            max_position_embeddings=variant.text_length,
            hidden_act='gelu',
        ),
        geometry_encoder_config=host.Sam3GeometryEncoderConfig(
            num_layers=variant.geometry_layers, **behind
        ),
        detr_encoder_config=host.Sam3DETREncoderConfig(num_layers=variant.encoder_layers, **behind),
        detr_decoder_config=host.Sam3DETRDecoderConfig(
            num_layers=variant.decoder_layers, num_queries=variant.num_queries, **behind
        ),
        mask_decoder_config=host.Sam3MaskDecoderConfig(
            hidden_size=variant.width, num_attention_heads=variant.num_heads
        ),
    )
