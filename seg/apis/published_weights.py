"""From a published RapSAM checkpoint to weights of this package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from mmengine.config import Config
from torch import Tensor, nn

from seg.models.prompts import PromptFusion
from seg.registry import MODELS
from seg.structures import PointLabel
from seg.utils.checkpoints import StateDict
from seg.utils.checks import UserError
from seg.utils.paths import config_dir
from seg.utils.public_names import RAPSAM_PUBLIC_NAMES, is_unpublished

_QUERIES = 'panoptic_head.kernels.weight'
_CLASS_PROJECTION = 'panoptic_head.panoptic_cls.0.weight'
_MASK_TOKENS = 'panoptic_head.mask_tokens.weight'
_BOTTLENECK = 'backbone.layer1.0.conv3.weight'
_PROTOTYPES = 'head.classifier.prototypes'
_TASK_EMBEDDING = 'head.router.task_embed.weight'
_CLICK_EMBEDDING = 'head.prompt_encoder.type_embed.weight'
_FUSION = 'head.prompt_encoder.fusion.'
_MAX_LISTED = 4


@dataclass(frozen=True)
class ConvertedWeights:
    """Weights in the names of this package.

    Attributes:
        weights: Ready for :func:`seg.apis.load_model`, complete if prototypes were given.
        backbone: ``'r18'`` or ``'r50'``.
        num_tensors: Published tensors.
        num_parameters: Their values without the statistics of batch norms.
        num_queries: Object queries Q.
        embed_channels: Width D of class embeddings.
    """

    weights: StateDict
    backbone: str
    num_tensors: int
    num_parameters: int
    num_queries: int
    embed_channels: int


def convert_published_weights(
    state: Mapping[str, Tensor], prototypes: Tensor | None = None, name: str = 'checkpoint'
) -> ConvertedWeights:
    """Rename published weights and check that each is one of the shipped model's.

    What the published model does not have starts so that a single click is answered as published:
    the task embedding as zeros, the fusion of prompts as an identity whose kinds of prompts
    (boxes, masks) are embedded like the published positive click.

    Args:
        state: Published names to tensors.
        prototypes: Text embeddings of the classes (K, P, D) to put into the checkpoint.
        name: What to call the checkpoint in errors.

    Raises:
        UserError: If it is no such checkpoint, a tensor is unknown, missing or of another shape,
            or the prototypes have another width; published names are given.
    """
    for key in (_QUERIES, _CLASS_PROJECTION, _MASK_TOKENS):
        if key not in state:
            raise UserError(
                f'{name}: expected a published RapSAM checkpoint with {key!r}, got '
                f'{_listed(list(state))}; a checkpoint of this package needs no conversion'
            )
    backbone = 'r50' if _BOTTLENECK in state else 'r18'
    num_queries, embed_channels = len(state[_QUERIES]), len(state[_CLASS_PROJECTION])
    model = _published_model(backbone, num_queries, embed_channels, len(state[_MASK_TOKENS]))
    weights = RAPSAM_PUBLIC_NAMES.apply(state)
    _check_layout(state, model, name)
    own = model.state_dict()
    weights[_TASK_EMBEDDING] = torch.zeros(own[_TASK_EMBEDDING].shape)
    weights |= _new_fusion(model, weights[_CLICK_EMBEDDING])
    if prototypes is not None:
        if prototypes.shape[-1] != embed_channels:
            raise UserError(
                f'--embedding: expected text embeddings of width {embed_channels}, as {name} was '
                f'trained with, got width {prototypes.shape[-1]}; use the text model of the '
                'published training'
            )
        weights[_PROTOTYPES] = prototypes
    trained = {
        key
        for key, _ in model.named_parameters()
        if key != _TASK_EMBEDDING and not key.startswith(_FUSION)
    }
    return ConvertedWeights(
        weights=weights,
        backbone=backbone,
        num_tensors=len(state),
        num_parameters=sum(weights[key].numel() for key in trained),
        num_queries=num_queries,
        embed_channels=embed_channels,
    )


def _published_model(
    backbone: str, num_queries: int, embed_channels: int, num_mask_tokens: int
) -> nn.Module:
    """The shipped model of these sizes, without values."""
    path = config_dir() / 'rap_sam' / f'rap_sam_{backbone}_12e_adaptor.py'
    cfg = Config.fromfile(str(path), format_python_code=False).model
    cfg.backbone.init_cfg = None
    cfg.head.num_queries = num_queries
    cfg.head.embed_channels = embed_channels
    cfg.head.prompt_encoder.num_mask_tokens = num_mask_tokens
    with torch.device('meta'):
        return MODELS.build(cfg)


def _new_fusion(model: nn.Module, click_embedding: Tensor) -> StateDict:
    """Weights of a fusion that hands a click through, always the same ones."""
    heads = model.get_submodule(_FUSION + 'attn').num_heads
    assert isinstance(heads, int)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        fusion = PromptFusion(click_embedding.shape[1], num_heads=heads)
    positive = click_embedding[PointLabel.FOREGROUND]
    fusion.kind_embed.weight.data.copy_(positive.expand_as(fusion.kind_embed.weight))
    return {_FUSION + key: value for key, value in fusion.state_dict().items()}


def _check_layout(state: Mapping[str, Tensor], model: nn.Module, name: str) -> None:
    own = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    wanted = {key for key in own if not is_unpublished(key)}
    renamed = {RAPSAM_PUBLIC_NAMES.rename(key): key for key in state}
    unknown = [key for new, key in renamed.items() if new not in wanted]
    if unknown:
        raise UserError(
            f'{name}: expected only tensors of the published model, got {_listed(unknown)}, which '
            'it does not have; remove what training tools added'
        )
    missing = sorted(wanted - set(renamed))
    if missing:
        raise UserError(
            f'{name}: expected {len(wanted)} tensors, got {len(renamed)}; missing are those that '
            f'become {_listed(missing)}; download the file again'
        )
    wrong = [
        f'{key} {tuple(state[key].shape)} instead of {own[new]}'
        for new, key in renamed.items()
        if tuple(state[key].shape) != own[new]
    ]
    if wrong:
        raise UserError(f'{name}: expected the shapes of the published model, got {_listed(wrong)}')


def _listed(names: Sequence[str]) -> str:
    """The first few names and how many more there are."""
    rest = len(names) - _MAX_LISTED
    shown = ', '.join(names[:_MAX_LISTED]) or 'nothing'
    return f'{shown} and {rest} more' if rest > 0 else shown
