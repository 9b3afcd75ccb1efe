"""Image towers of CLIP as backbones."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.logging import print_log
from mmengine.model import BaseModule
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from ext.open_clip import build_image_trunk, image_weights, locate_weights
from ext.open_clip.architecture import NUM_STAGES
from seg.models.backbones.clip_init import CLIP_INIT, check_clip_init
from seg.registry import MODELS
from seg.utils.checkpoints import load_weights
from seg.utils.checks import UserError


@MODELS.register_module()
class OpenCLIPBackbone(BaseModule):
    """Pyramid of a ConvNeXt or ResNet image tower of open_clip, without its pooling and head.

    The towers were trained on RGB in 0..255 with mean (122.77, 116.75, 104.09) and standard
    deviation (68.50, 66.63, 70.32): set the data preprocessor accordingly.

    Args:
        model_name: A model of open_clip, such as ``'convnext_large_d_320'`` or ``'RN50'``.
        out_indices: Stages to return, ascending; 0..3 have the strides 4, 8, 16, 32.
        frozen: Whether the weights stay as they are; dropout and statistics are then off too.
        norm_eval: Whether batch norms use their stored statistics while training.
        init_cfg: ``dict(type='clip_pretrain', checkpoint=FILE_OR_TAG)`` loads the image tower of
            a CLIP checkpoint when weights are initialised: a local file, or a tag under which
            open_clip publishes weights (which needs a network or open_clip's cache). MMEngine's
            own kinds work as well. Without it the weights stay random.

    Raises:
        UserError: If the model has no such image tower, or an argument is out of range.
    """

    def __init__(
        self,
        model_name: str = 'convnext_large_d_320',
        out_indices: Sequence[int] = (0, 1, 2, 3),
        frozen: bool = True,
        norm_eval: bool = True,
        init_cfg: Mapping[str, Any] | None = None,
    ) -> None:
        check_clip_init(init_cfg)
        super().__init__(init_cfg)
        self.model_name = model_name
        self.out_indices = _check_out_indices(out_indices)
        self.frozen = frozen
        self.norm_eval = norm_eval
        built = build_image_trunk(model_name, num_stages=self.out_indices[-1] + 1)
        self.trunk = built.module
        self._stages = built.stages
        self._unused = built.unused
        self.out_channels = tuple(built.channels[index] for index in self.out_indices)
        self.trunk.requires_grad_(not frozen)
        self.train(self.training)

    def init_weights(self) -> None:
        """Load the weights that ``init_cfg`` names.

        Raises:
            FileNotFoundError: If the checkpoint is neither a file nor a published tag.
            OSError: If a published checkpoint cannot be downloaded.
            UserError: If the checkpoint is unreadable or of another architecture.
        """
        if self.init_cfg is not None and self.init_cfg['type'] == CLIP_INIT:
            path = locate_weights(self.model_name, self.init_cfg['checkpoint'])
            state = image_weights(path, self._unused)
            load_weights(self.trunk, state, name=f'the image tower in {path}')
            self._is_init = True
            return
        if self.init_cfg is None and self.frozen:
            print_log(
                f'OpenCLIPBackbone({self.model_name!r}) is frozen and has no init_cfg: its weights '
                'stay random unless a checkpoint of the whole model is loaded',
                logger='current',
                level=logging.WARNING,
            )
        super().init_weights()

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Compute the pyramid.

        Args:
            x: Normalised images (B, 3, H, W); H and W multiples of 32.

        Returns:
            One map (B, C, H / stride, W / stride) per entry of ``out_indices``, fine to coarse.
        """
        stem: Any = self.trunk.stem
        x = stem(x)
        feats = []
        for index, name in enumerate(self._stages):
            x = self.trunk.get_submodule(name)(x)
            if index in self.out_indices:
                feats.append(x)
        return tuple(feats)

    def train(self, mode: bool = True) -> OpenCLIPBackbone:
        """Switch to training, except for what is frozen."""
        super().train(mode)
        if self.frozen:
            self.trunk.eval()
        elif self.norm_eval:
            for module in self.trunk.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self


def _check_out_indices(out_indices: Sequence[int]) -> tuple[int, ...]:
    indices = tuple(out_indices)
    if not indices or indices != tuple(sorted(set(indices) & set(range(NUM_STAGES)))):
        raise UserError(
            f'out_indices: expected stages out of 0..{NUM_STAGES - 1} in ascending order, got '
            f'{list(indices)}'
        )
    return indices
