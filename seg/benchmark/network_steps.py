"""Steps that made backbone, neck and decoder fast."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.ops import deform_conv2d

from seg.benchmark.bench_step import Bench, Step, inputs_of, network_of
from seg.benchmark.workloads import draw_frame
from seg.models.decoders.layers import attend
from seg.models.decoders.pooling import HardMaskSumPooling, draw_masks
from seg.models.deployment import compile_parts, graph_features
from seg.models.necks.deform_conv import ModulatedDeformConv
from seg.models.prompts.positional import sine_grid


def backbone_steps(bench: Bench, fused: Any) -> Iterator[Step]:
    """From a frame to features; ``fused`` is the large model, folded."""
    frame = draw_frame(0, 4, bench.size)[0]
    preprocessor = bench.large.data_preprocessor
    yield Step(
        'bytes',
        'frames go to the device as bytes, and are normalised and padded there',
        lambda: _floats_of(frame, preprocessor).to(bench.device),
        lambda: inputs_of(bench.large, frame),
    )
    images = (
        inputs_of(bench.large, frame).flatten(0, 1).contiguous(memory_format=torch.channels_last)
    )
    yield Step(
        'folded',
        'normalisations folded, backbone',
        lambda: bench.large.backbone(images)[-1],
        lambda: fused.backbone(images)[-1],
    )
    planes = copy.deepcopy(fused.backbone).to(memory_format=torch.contiguous_format)
    yield Step(
        'channels_last',
        'channels beside each other in memory, backbone',
        lambda: planes(images.contiguous())[-1],
        lambda: fused.backbone(images)[-1],
    )
    taken = _input_of(fused, ModulatedDeformConv, images)
    if taken is not None and bench.device.type == 'cpu':  # else the operator is what is used
        conv, x = taken
        yield Step(
            'deformable',
            'deformable convolution as sums of rows of channels and a 1x1 convolution',
            lambda: _operator(conv, x),
            lambda: conv(x),
        )


def _floats_of(frame: np.ndarray, preprocessor: Any) -> Tensor:
    """A frame normalised and padded by NumPy, (1, 1, 3, H, W)."""
    mean, std = (value.flatten().cpu().numpy() for value in (preprocessor.mean, preprocessor.std))
    values = ((frame.astype(np.float32) - mean) / std).transpose(2, 0, 1)
    below, right = (-side % preprocessor.pad_divisor for side in frame.shape[:2])
    return torch.from_numpy(np.pad(values, ((0, 0), (0, below), (0, right)))[None, None])


def _input_of(model: Any, kind: type[nn.Module], images: Tensor) -> tuple[Any, Tensor] | None:
    """The first layer of a kind in a neck, and what it reads."""
    layers = [module for module in model.neck.modules() if isinstance(module, kind)]
    if not layers:
        return None
    taken: list[Tensor] = []
    handle = layers[0].register_forward_pre_hook(lambda _, inputs: taken.append(inputs[0]))
    with torch.inference_mode():
        model.neck(model.backbone(images))
    handle.remove()
    return layers[0], taken[0]


def _operator(conv: ModulatedDeformConv, x: Tensor) -> Tensor:
    """The same by torchvision's operator."""
    offsets, weights = conv.offset_conv(x).split([18, 9], dim=1)
    return deform_conv2d(x, offsets, conv.weight, conv.bias, padding=1, mask=weights.sigmoid())


def decoder_steps(bench: Bench, fused: Any) -> Iterator[Step]:
    """From features to masks and classes; ``fused`` is the large model, folded."""
    frame = draw_frame(0, 4, bench.size)[0]
    with torch.inference_mode():
        features = fused.extract_feat(inputs_of(bench.large, frame)).mask_features
        kernels = fused.head.object_queries.weight[None]
        logits = draw_masks(kernels, features)
    yield Step(
        'drawn',
        'masks drawn by a convolution with queries as filters',
        lambda: torch.einsum('bqc,btchw->bqthw', kernels, features),
        lambda: draw_masks(kernels, features),
    )
    network, classify = network_of(bench, fused), fused.head._classify

    def last_classes_alone(prediction: Any, *, final: bool) -> Any:
        return classify(
            prediction if final else prediction._replace(class_embeddings=None), final=final
        )

    def without_classes() -> Tensor:
        with mock.patch.object(fused.head, '_classify', last_classes_alone):
            return network()

    yield Step(
        'classes', 'class logits of the last stage alone (not done)', network, without_classes
    )
    pooling = HardMaskSumPooling()
    yield Step(
        'pooled',
        'features under masks by batched products',
        lambda: torch.einsum('bqthw,btchw->bqc', (logits > 0).float(), features),
        lambda: pooling(logits, features),
    )
    _, _, channels, height, width = features.shape
    grid = height, width, channels, bench.device
    make = sine_grid.__wrapped__  # type: ignore[attr-defined]
    yield Step(
        'grids', 'grids of positions made once', lambda: make(*grid), lambda: sine_grid(*grid)
    )
    attn = nn.MultiheadAttention(channels, 8, batch_first=True).to(bench.device).eval()
    pixels = features[:, 0].flatten(2).transpose(1, 2).contiguous()
    query = kernels[:, :1]
    yield Step(
        'attend',
        'one query reads all pixels without keys and values of them',
        lambda: attn(query, pixels, pixels, need_weights=False)[0],
        lambda: attend(attn, query, pixels, pixels),
    )


def precision_steps(bench: Bench, fused: Any) -> Iterator[Step]:
    """The network in fewer bits."""
    network = network_of(bench, fused)

    def halved() -> Tensor:
        with torch.autocast(bench.device.type, torch.bfloat16):
            return network()

    yield Step(
        'bf16',
        'the network in bfloat16, masks in float32',
        network,
        halved,
        alike=lambda first, second: float(((first > 0) != (second > 0)).float().mean()),
    )


def compiled_step(bench: Bench, fused: Any) -> Step:
    """The network by a compiler; compiling itself takes minutes."""
    compiled = copy.deepcopy(fused)
    compile_parts(compiled, inputs_of(bench.large, draw_frame(0, 4, bench.size)[0]))
    return Step(
        'compiled', 'the network compiled', network_of(bench, fused), network_of(bench, compiled)
    )


def graphed_step(bench: Bench, fused: Any) -> Step:
    """The network as a CUDA graph; on a GPU alone."""
    graphed = copy.deepcopy(fused)
    graph_features(graphed, inputs_of(bench.large, draw_frame(0, 4, bench.size)[0]))
    return Step(
        'graphed',
        'backbone, neck and colours as a CUDA graph',
        network_of(bench, fused),
        network_of(bench, graphed),
    )
