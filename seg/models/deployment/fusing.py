"""Normalisations with fixed statistics folded into the convolutions before them."""

from __future__ import annotations

from itertools import pairwise
from typing import TypeVar

from mmdet.models.backbones import ResNet
from mmdet.models.backbones.resnet import BasicBlock, Bottleneck
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from seg.models.necks import ConvUpBlock, DeformUpBlock, YOSONeck
from seg.models.necks.deform_conv import ModulatedDeformConv

M = TypeVar('M', bound=nn.Module)

# Modules whose children run in the order in which they are registered, as far as a convolution
# and the normalisation behind it go.
_IN_ORDER = (nn.Sequential, ResNet, BasicBlock, Bottleneck, ConvUpBlock, DeformUpBlock, YOSONeck)
_CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d, ModulatedDeformConv)


def fuse(model: M) -> M:
    """Fold batch normalisations into convolutions, for inference.

    A pass over every map of the network is saved; results differ by rounding alone. Other
    normalisations stay. The model is changed in place: it is in evaluation mode afterwards, wants
    no gradients, and its weights are no checkpoint of the config any more.

    Args:
        model: Any model; parts that are not known to run in order are left as they are.

    Returns:
        The same model.
    """
    model.eval()  # some modules of MMDetection return nothing here
    model.requires_grad_(False)
    for module in model.modules():
        if not isinstance(module, _IN_ORDER):
            continue
        for (_, conv), (name, norm) in pairwise(list(module.named_children())):
            if isinstance(conv, _CONVOLUTIONS) and isinstance(norm, nn.BatchNorm2d):
                _fold(conv, norm)
                module.add_module(name, nn.Identity())
    return model


def _fold(conv: nn.Conv2d | nn.ConvTranspose2d | ModulatedDeformConv, norm: nn.BatchNorm2d) -> None:
    """Let ``conv`` compute what ``norm(conv(x))`` is."""
    mean, variance = norm.running_mean, norm.running_var
    assert mean is not None and variance is not None, 'those of this package keep statistics'
    weight, bias = fuse_conv_bn_weights(
        conv.weight,
        conv.bias,
        mean,
        variance,
        norm.eps,
        norm.weight,
        norm.bias,
        transpose=isinstance(conv, nn.ConvTranspose2d),
    )
    conv.weight = weight.requires_grad_(False)
    conv.bias = bias.requires_grad_(False)
