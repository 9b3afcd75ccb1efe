"""Names of published checkpoints in the names of this package."""

import re

from seg.utils.key_map import KeyMap

_KERNEL_UPDATER = [
    (r'\.dynamic_layer\.', '.update_proj.'),
    (r'\.input_layer\.', '.query_proj.'),
    (r'\.input_gate\.', '.query_gate.'),
    (r'\.norm_in\.', '.update_gate_norm.'),
    (r'\.norm_out\.', '.update_norm.'),
    (r'\.input_norm_in\.', '.query_gate_norm.'),
    (r'\.input_norm_out\.', '.query_norm.'),
    (r'\.fc_layer\.', '.out_proj.'),
    (r'\.fc_norm\.', '.out_norm.'),
]

_STAGE = [
    (r'\.mask_heads\.', '.stages.'),
    (r'\.s_atten', '.self_attn'),
    (r'\.ffn\.layers\.0\.0\.', '.ffn.0.'),
    (r'\.ffn\.layers\.1\.', '.ffn.2.'),
    (r'\.cls_fcs\.0\.', '.class_fc.'),
    (r'\.cls_fcs\.1\.', '.class_norm.'),
    (r'\.cls_proj\.', '.class_mlp.'),
    (r'\.mask_fcs\.0\.', '.mask_fc.'),
    (r'\.mask_fcs\.1\.', '.mask_norm.'),
    (r'\.fc_mask\.', '.mask_kernel.'),
    (r'\.iou_embed\.', '.iou_mlp.'),
]

_HEAD = [
    (r'^panoptic_head\.', 'head.'),
    (r'^head\.kernels\.', 'head.object_queries.'),
    (r'^head\.mask_tokens\.', 'head.prompt_encoder.mask_tokens.'),
    (r'^head\.pb_embedding\.', 'head.prompt_encoder.type_embed.'),
    (r'^head\.pos_linear\.', 'head.prompt_encoder.pos_proj.'),
    (r'^head\.panoptic_attn\.', 'head.object_adapter.kernel_update.'),
    (r'^head\.panoptic_cls\.0\.', 'head.object_adapter.class_proj.'),
    (r'^head\.prompt_attn\.attn\.', 'head.prompt_adapter.pixel_attn.'),
    (r'^head\.prompt_norm\.', 'head.prompt_adapter.norm.'),
    (r'^head\.prompt_iou\.', 'head.prompt_adapter.iou_proj.'),
]

# The published code counts levels from the coarsest, this package from the finest.
_NECK = [
    (r'^neck\.deconv\.bias$', 'neck.agg_bias'),
    *[(rf'^neck\.deconv\.lateral_conv{i}\.', f'neck.lateral_convs.{3 - i}.') for i in range(4)],
    *[(rf'^neck\.deconv\.deform_conv{i}\.', f'neck.up_blocks.{3 - i}.') for i in (1, 2, 3)],
    *[(rf'^neck\.deconv\.conv_a{i}\.', f'neck.reduce_convs.{i - 2}.') for i in (2, 3, 4, 5)],
    (r'^neck\.deconv\.output_conv\.', 'neck.agg_conv.'),
    (r'^neck\.loc_conv\.', 'neck.out_conv.'),
    (r'\.dcn_offset\.', '.deform_conv.offset_conv.'),
    (r'\.dcn\.weight$', '.deform_conv.weight'),
    (r'\.dcn_bn\.', '.deform_norm.'),
    (r'\.up_sample\.', '.up_conv.'),
    (r'\.up_bn\.', '.up_norm.'),
]

RAPSAM_PUBLIC_NAMES = KeyMap([*_HEAD, *_STAGE, *_KERNEL_UPDATER, *_NECK])
"""``rapsam_r50_12e.pth`` and its like -> :class:`seg.models.detectors.RapSAM`."""

RAPSAM_NOT_PUBLISHED = (
    r'^head\.classifier\.prototypes$',
    r'^head\.router\.task_embed\.weight$',
    r'^head\.prompt_encoder\.fusion\.',
)
"""What our checkpoints hold beyond the published ones: the text prototypes, which the published
code keeps in a file of its own, the task embedding, which starts at zero, and the fusion of
prompts, which starts as an identity."""


def is_unpublished(key: str) -> bool:
    """Whether a name of this package belongs to :data:`RAPSAM_NOT_PUBLISHED`."""
    return any(re.search(pattern, key) for pattern in RAPSAM_NOT_PUBLISHED)
