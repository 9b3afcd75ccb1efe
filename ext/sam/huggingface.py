"""SAM under the names of transformers' ``SamModel``."""

from __future__ import annotations

from typing import Any

from ext.sam.variants import SamVariant
from seg.utils.key_map import KeyMap

HUGGINGFACE_NAMES = KeyMap(
    rules=[
        (r'^image_encoder\.blocks\.', 'vision_encoder.layers.'),
        (r'^image_encoder\.patch_embed\.proj\.', 'vision_encoder.patch_embed.projection.'),
        (r'^image_encoder\.neck\.0\.', 'vision_encoder.neck.conv1.'),
        (r'^image_encoder\.neck\.1\.', 'vision_encoder.neck.layer_norm1.'),
        (r'^image_encoder\.neck\.2\.', 'vision_encoder.neck.conv2.'),
        (r'^image_encoder\.neck\.3\.', 'vision_encoder.neck.layer_norm2.'),
        (r'^image_encoder\.', 'vision_encoder.'),
        (
            r'^prompt_encoder\.pe_layer\.positional_encoding_gaussian_matrix$',
            'prompt_encoder.shared_embedding.positional_embedding',
        ),
        (r'^prompt_encoder\.point_embeddings\.', 'prompt_encoder.point_embed.'),
        (r'^prompt_encoder\.mask_downscaling\.0\.', 'prompt_encoder.mask_embed.conv1.'),
        (r'^prompt_encoder\.mask_downscaling\.1\.', 'prompt_encoder.mask_embed.layer_norm1.'),
        (r'^prompt_encoder\.mask_downscaling\.3\.', 'prompt_encoder.mask_embed.conv2.'),
        (r'^prompt_encoder\.mask_downscaling\.4\.', 'prompt_encoder.mask_embed.layer_norm2.'),
        (r'^prompt_encoder\.mask_downscaling\.6\.', 'prompt_encoder.mask_embed.conv3.'),
        (r'^mask_decoder\.output_upscaling\.0\.', 'mask_decoder.upscale_conv1.'),
        (r'^mask_decoder\.output_upscaling\.1\.', 'mask_decoder.upscale_layer_norm.'),
        (r'^mask_decoder\.output_upscaling\.3\.', 'mask_decoder.upscale_conv2.'),
        (r'(mlps\.\d+|iou_prediction_head)\.layers\.0\.', r'\1.proj_in.'),
        (r'(mlps\.\d+|iou_prediction_head)\.layers\.1\.', r'\1.layers.0.'),
        (r'(mlps\.\d+|iou_prediction_head)\.layers\.2\.', r'\1.proj_out.'),
        (r'\.norm(\d)\.', r'.layer_norm\1.'),
        (r'\.norm_final_attn\.', '.layer_norm_final_attn.'),
    ]
)

SHARED_POSITIONS = 'shared_image_embedding.positional_embedding'
"""A second name of the frequencies, which transformers also stores."""


def huggingface_config(variant: SamVariant) -> dict[str, Any]:
    """``config.json`` of a variant."""
    grid = variant.native_size // variant.patch_size
    return {
        'model_type': 'sam',
        'architectures': ['SamModel'],
        'vision_config': {
            'model_type': 'sam_vision_model',
            'hidden_size': variant.embed_dim,
            'output_channels': variant.prompt_dim,
            'num_hidden_layers': variant.depth,
            'num_attention_heads': variant.num_heads,
            'image_size': variant.native_size,
            'patch_size': variant.patch_size,
            'window_size': variant.window_size,
            'global_attn_indexes': list(variant.global_blocks),
            'num_pos_feats': variant.prompt_dim // 2,
            'mlp_dim': 4 * variant.embed_dim,
        },
        'prompt_encoder_config': {
            'model_type': 'sam_prompt_encoder',
            'hidden_size': variant.prompt_dim,
            'image_size': variant.native_size,
            'patch_size': variant.patch_size,
            'image_embedding_size': grid,
        },
        'mask_decoder_config': {
            'model_type': 'sam_mask_decoder',
            'hidden_size': variant.prompt_dim,
            'mlp_dim': variant.decoder_mlp_dim,
            'num_attention_heads': variant.decoder_heads,
            'iou_head_hidden_dim': variant.prompt_dim,
        },
    }
