"""The layout of published RapSAM checkpoints, independent of the models of this package."""

from __future__ import annotations

from collections.abc import Iterator

Entry = tuple[str, tuple[int, ...]]

_NORM = ('weight', 'bias', 'running_mean', 'running_var')


def _linear(name: str, out: int, into: int, bias: bool = True) -> Iterator[Entry]:
    yield f'{name}.weight', (out, into)
    if bias:
        yield f'{name}.bias', (out,)


def _conv(name: str, out: int, into: int, size: int = 1, bias: bool = False) -> Iterator[Entry]:
    yield f'{name}.weight', (out, into, size, size)
    if bias:
        yield f'{name}.bias', (out,)


def _batch_norm(name: str, width: int) -> Iterator[Entry]:
    yield from ((f'{name}.{part}', (width,)) for part in _NORM)
    yield f'{name}.num_batches_tracked', ()


def _layer_norm(name: str, width: int = 256) -> Iterator[Entry]:
    yield from ((f'{name}.{part}', (width,)) for part in ('weight', 'bias'))


def _backbone(depth: int) -> Iterator[Entry]:
    blocks = {18: (2, 2, 2, 2), 50: (3, 4, 6, 3)}[depth]
    expansion = {18: 1, 50: 4}[depth]
    yield from _conv('backbone.conv1', 64, 3, 7)
    yield from _batch_norm('backbone.bn1', 64)
    into = 64
    for layer, (count, width) in enumerate(zip(blocks, (64, 128, 256, 512), strict=True), start=1):
        for block in range(count):
            name = f'backbone.layer{layer}.{block}'
            sizes = [(width, into, 1), (width, width, 3), (4 * width, width, 1)]
            if depth == 18:
                sizes = [(width, into, 3), (width, width, 3)]
            for i, (out, into_conv, size) in enumerate(sizes, start=1):
                yield from _conv(f'{name}.conv{i}', out, into_conv, size)
                yield from _batch_norm(f'{name}.bn{i}', out)
            if block == 0 and into != expansion * width:
                yield from _conv(f'{name}.downsample.0', expansion * width, into)
                yield from _batch_norm(f'{name}.downsample.1', expansion * width)
            into = expansion * width


def _neck(widths: tuple[int, ...]) -> Iterator[Entry]:
    halves = [w // 2 for w in widths]
    yield 'neck.deconv.bias', (1, 128, 1, 1)
    for i in range(4):
        yield from _conv(f'neck.deconv.lateral_conv{i}', halves[3 - i], widths[3 - i], bias=True)
    for i in (1, 2, 3):
        name, into, out = f'neck.deconv.deform_conv{i}', halves[4 - i], halves[3 - i]
        yield from _conv(f'{name}.dcn_offset', 27, into, 3, bias=True)
        yield f'{name}.dcn.weight', (out, into, 3, 3)
        yield from _batch_norm(f'{name}.dcn_bn', out)
        yield f'{name}.up_sample.weight', (out, out, 4, 4)
        yield from _batch_norm(f'{name}.up_bn', out)
    yield from _conv('neck.deconv.output_conv', 128, 128, 3, bias=True)
    for i in (5, 4, 3, 2):
        yield from _conv(f'neck.deconv.conv_a{i}', 128, halves[i - 2])
    yield from _conv('neck.loc_conv', 256, 130, bias=True)


def _kernel_updater(name: str) -> Iterator[Entry]:
    yield from _linear(f'{name}.dynamic_layer', 512, 256)
    yield from _linear(f'{name}.input_layer', 512, 256)
    for gate in ('input_gate', 'update_gate', 'fc_layer'):
        yield from _linear(f'{name}.{gate}', 256, 256)
    for norm in ('norm_in', 'norm_out', 'input_norm_in', 'input_norm_out', 'fc_norm'):
        yield from _layer_norm(f'{name}.{norm}')


def _attention(name: str) -> Iterator[Entry]:
    yield f'{name}.in_proj_weight', (768, 256)
    yield f'{name}.in_proj_bias', (768,)
    yield from _linear(f'{name}.out_proj', 256, 256)


def _stage(name: str, embed: int) -> Iterator[Entry]:
    yield from _kernel_updater(f'{name}.kernel_update')
    yield from _attention(f'{name}.s_atten')
    yield from _linear(f'{name}.ffn.layers.0.0', 2048, 256)
    yield from _linear(f'{name}.ffn.layers.1', 256, 2048)
    for norm in ('s_atten_norm', 'ffn_norm', 'cls_fcs.1', 'mask_fcs.1'):
        yield from _layer_norm(f'{name}.{norm}')
    for first in ('cls_fcs.0', 'mask_fcs.0'):
        yield from _linear(f'{name}.{first}', 256, 256, bias=False)
    for mlp, out in (('cls_proj', embed), ('iou_embed', 1)):
        yield from _linear(f'{name}.{mlp}.0', 256, 256)
        yield from _linear(f'{name}.{mlp}.2', 256, 256)
        yield from _linear(f'{name}.{mlp}.4', out, 256)
    yield from _linear(f'{name}.fc_mask', 256, 256)


def _head(embed: int, queries: int) -> Iterator[Entry]:
    name = 'panoptic_head'
    yield f'{name}.kernels.weight', (queries, 256)
    yield f'{name}.mask_tokens.weight', (1, 256)
    yield f'{name}.pb_embedding.weight', (2, 256)
    yield from _linear(f'{name}.pos_linear', 256, 512)
    yield from _kernel_updater(f'{name}.panoptic_attn')
    yield from _linear(f'{name}.panoptic_cls.0', embed, 256)
    yield from _attention(f'{name}.prompt_attn.attn')
    yield from _layer_norm(f'{name}.prompt_norm')
    yield from _linear(f'{name}.prompt_iou', 1, 256)
    for s in range(3):
        yield from _stage(f'{name}.mask_heads.{s}', embed)


def published_layout(
    depth: int, *, embed_channels: int = 768, num_queries: int = 100
) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a published checkpoint, written down from its description.

    Args:
        depth: Of the ResNet, 18 or 50.
        embed_channels: Width D of class embeddings.
        num_queries: Object queries Q.
    """
    widths = {18: (64, 128, 256, 512), 50: (256, 512, 1024, 2048)}[depth]
    parts = (_backbone(depth), _neck(widths), _head(embed_channels, num_queries))
    return {name: shape for part in parts for name, shape in part}
