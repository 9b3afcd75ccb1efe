"""Towers of open_clip's models, with random weights and without the parts that we do not use."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import open_clip
import torch
from open_clip.model import _build_text_tower
from open_clip.modified_resnet import ModifiedResNet
from torch import Tensor, nn

from seg.utils.checks import UserError, unknown_name_message

NUM_STAGES = 4


class ImageTrunk(NamedTuple):
    """The convolutional part of an image tower.

    Attributes:
        module: Has a ``stem`` that reduces an image to stride 4.
        stages: Names of the stages that follow it, as submodules of ``module``.
        channels: Width of each stage's output; strides are 4, 8, 16 and 32.
        unused: Prefixes of the tower's weights that belong to removed parts.
    """

    module: nn.Module
    stages: tuple[str, ...]
    channels: tuple[int, ...]
    unused: tuple[str, ...]


class TextTower(nn.Module):
    """A text tower that does not compute what lies behind the longest sentence of a batch.

    Args:
        tower: open_clip's text transformer; causal, so that padding cannot reach the sentence.
    """

    def __init__(self, tower: nn.Module) -> None:
        super().__init__()
        self.tower = tower

    def forward(self, tokens: Tensor) -> Tensor:
        """Embed sentences: (N, context) int64, padded with zeros, to (N, D)."""
        length = int((tokens != 0).any(dim=0).nonzero().max()) + 1
        mask = self.tower.get_buffer('attn_mask')[:length, :length]
        return torch.func.functional_call(
            self.tower, {'attn_mask': mask}, (tokens[:, :length].to(mask.device),)
        )


def model_config(model_name: str) -> dict[str, Any]:
    """Look up the architecture of a model of open_clip.

    Args:
        model_name: Such as ``'convnext_large_d_320'``.

    Raises:
        UserError: If open_clip has no such model; the message names the nearest one.
    """
    names = open_clip.list_models()
    if model_name not in names:
        raise UserError(unknown_name_message('open_clip model', model_name, names))
    config: dict[str, Any] = open_clip.get_model_config(model_name)
    return config


def build_image_trunk(model_name: str, num_stages: int = NUM_STAGES) -> ImageTrunk:
    """Build the image tower of a model without its head, on the current default device.

    Args:
        model_name: A model of open_clip whose image tower is a ConvNeXt or a ResNet.
        num_stages: How many stages to keep, 1..4.

    Raises:
        UserError: If the model is unknown, or its image tower is of another kind.
    """
    config = model_config(model_name)
    vision = config['vision_cfg']
    timm_name = vision.get('timm_model_name', '')
    if timm_name.startswith('convnext'):
        return _build_convnext(timm_name, vision.get('timm_drop_path') or 0.0, num_stages)
    if isinstance(vision.get('layers'), (list, tuple)):
        return _build_resnet(config, num_stages)
    raise UserError(
        f'open_clip model {model_name!r}: expected one with a ConvNeXt or ResNet image tower '
        f'(strides 4, 8, 16, 32), got {timm_name or "a vision transformer"}; use for example '
        'convnext_large_d_320 or RN50'
    )


def build_text_encoder(model_name: str, source: str | os.PathLike[str] | None = None) -> TextTower:
    """Build the text tower of a model in evaluation mode, with random weights.

    Args:
        model_name: A model of open_clip with its own causal text tower.
        source: The weights that it will get. Some published tags, such as ``'openai'``, were
            trained with QuickGELU whatever the model says; of files only the model knows, so
            files of such weights need a model like ``'ViT-L-14-quickgelu'``.

    Raises:
        UserError: If the model is unknown, or its text tower is of another kind.
    """
    config = model_config(model_name)
    text = _own_text_config(model_name, config)
    published = source is not None and source in open_clip.list_pretrained_tags_by_model(model_name)
    weights = open_clip.get_pretrained_cfg(model_name, str(source)) if published else {}
    quick_gelu = bool(config.get('quick_gelu') or weights.get('quick_gelu'))
    tower = _build_text_tower(config['embed_dim'], text, quick_gelu)
    return TextTower(tower).eval()


def build_tokenizer(model_name: str) -> Callable[[list[str]], Tensor]:
    """Build the tokenizer of a model: sentences to tokens (N, context) int64.

    Args:
        model_name: A model of open_clip with open_clip's own vocabulary.

    Raises:
        UserError: If the model is unknown, or its vocabulary is not part of open_clip.
    """
    text = _own_text_config(model_name, model_config(model_name))
    return open_clip.SimpleTokenizer(context_length=text.get('context_length', 77))


def _own_text_config(model_name: str, config: Mapping[str, Any]) -> dict[str, Any]:
    text: dict[str, Any] = config['text_cfg']
    foreign = [key for key in ('hf_model_name', 'hf_tokenizer_name') if text.get(key)]
    foreign += [key for key in ('no_causal_mask', 'embed_cls') if text.get(key)]
    if foreign:
        raise UserError(
            f"open_clip model {model_name!r}: expected open_clip's own causal text tower, got one "
            f'with {", ".join(foreign)}; use for example convnext_large_d_320, RN50 or ViT-B-32'
        )
    return text


def _build_convnext(timm_name: str, drop_path: float, num_stages: int) -> ImageTrunk:
    import timm

    trunk: Any = timm.create_model(timm_name, pretrained=False, drop_path_rate=drop_path)
    trunk.stages = trunk.stages[:num_stages]
    trunk.norm_pre = nn.Identity()
    trunk.head = nn.Identity()
    removed = (f'trunk.stages.{index}.' for index in range(num_stages, NUM_STAGES))
    return ImageTrunk(
        module=trunk,
        stages=tuple(f'stages.{index}' for index in range(num_stages)),
        channels=tuple(info['num_chs'] for info in trunk.feature_info[:num_stages]),
        unused=('head.', 'trunk.head.', 'trunk.norm_pre.', *removed),
    )


def _build_resnet(config: Mapping[str, Any], num_stages: int) -> ImageTrunk:
    vision = open_clip.CLIPVisionCfg(**config['vision_cfg'])
    assert isinstance(vision.layers, (list, tuple)), 'a ResNet has a list of layers'
    trunk = ModifiedResNet(
        layers=list(vision.layers),
        output_dim=config['embed_dim'],
        heads=vision.width * 32 // vision.head_width,
        image_size=vision.image_size,
        width=vision.width,
    )
    trunk.attnpool = None
    removed = [f'layer{index + 1}' for index in range(num_stages, NUM_STAGES)]
    for name in removed:
        delattr(trunk, name)
    return ImageTrunk(
        module=trunk,
        stages=tuple(f'layer{index + 1}' for index in range(num_stages)),
        channels=tuple(vision.width * 4 * 2**index for index in range(num_stages)),
        unused=('attnpool.', *(f'{name}.' for name in removed)),
    )
