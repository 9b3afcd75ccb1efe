"""A backbone and a neck without a head, to learn features or to teach them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NoReturn

import torch
from mmdet.models.detectors import BaseDetector
from mmengine.runner.checkpoint import CheckpointLoader
from torch import Tensor, nn

from seg.registry import MODELS
from seg.structures import ClipSample
from seg.utils.checkpoints import load_weights, unwrap_state
from seg.utils.checks import UserError


@MODELS.register_module()
class FeatureEmbedder(BaseDetector):
    """The backbone and the neck of a RapSAM: pictures in, mask features out.

    :class:`~seg.models.detectors.Distiller` takes it as student and as teacher. Its tensors have
    the names that they have in a RapSAM, so its checkpoint is one to start a RapSAM from
    (``load_from``), and the weights of a RapSAM fill it.

    Args:
        backbone: See :class:`~seg.models.detectors.RapSAM`.
        neck: See :class:`~seg.models.detectors.RapSAM`.
        data_preprocessor: Config of a :class:`~seg.models.data_preprocessors.ClipPreprocessor`.
        init_cfg: ``dict(type='Pretrained', checkpoint=FILE)``, also of a whole RapSAM; none starts
            both parts as they say themselves.
    """

    prompt_kinds: frozenset[str] = frozenset()
    """It answers no prompts."""

    prompt_refusals: Mapping[str, str] = MappingProxyType({})

    canvas: tuple[int, int] | None = None
    """Pictures may have any size whose sides are multiples of 32."""

    def __init__(
        self,
        backbone: dict[str, Any],
        neck: dict[str, Any],
        data_preprocessor: dict[str, Any] | None = None,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        preprocessor = data_preprocessor or dict(type='ClipPreprocessor')
        super().__init__(data_preprocessor=MODELS.build(dict(preprocessor)), init_cfg=init_cfg)
        self.backbone: nn.Module = MODELS.build(backbone).to(memory_format=torch.channels_last)
        self.neck: Any = MODELS.build(neck).to(memory_format=torch.channels_last)

    @property
    def image_encoder(self) -> nn.Module:
        """All of it."""
        return self

    @property
    def embedding_channels(self) -> int:
        """Channels of the features."""
        return int(self.neck.out_conv.out_channels)

    def init_weights(self) -> None:
        """Start from the weights of ``init_cfg``, of which parts behind the neck are left out.

        Raises:
            UserError: If the file lacks something of backbone or neck.
        """
        if self.init_cfg is None:
            super().init_weights()
            return
        source = str(self.init_cfg['checkpoint'])
        content = CheckpointLoader.load_checkpoint(source, 'cpu', logger='silent')
        own = ('backbone.', 'neck.')
        state = {k: v for k, v in unwrap_state(content, source).items() if k.startswith(own)}
        load_weights(self, state, name=source)
        self.is_init = True

    def extract_feat(self, batch_inputs: Tensor) -> Tensor:
        """Features of normalised clips (B, T, 3, H, W) at stride 4, (B * T, C, H/4, W/4)."""
        feats: Tensor = self.neck(self.backbone(batch_inputs.flatten(0, 1))).mask_features
        return feats

    def embed_samples(self, batch_inputs: Tensor, batch_data_samples: list[ClipSample]) -> Tensor:
        """Features of a batch."""
        return self.extract_feat(batch_inputs)

    def _forward(
        self, batch_inputs: Tensor, batch_data_samples: list[ClipSample] | None = None
    ) -> Tensor:
        return self.extract_feat(batch_inputs)

    def loss(self, batch_inputs: Tensor, batch_data_samples: list[ClipSample]) -> NoReturn:
        """Features alone are no answer to labels.

        Raises:
            UserError: Always.
        """
        raise UserError(
            'FeatureEmbedder: expected to be trained by a Distiller, got labels; use '
            'dict(type=Distiller, student=..., teacher=...)'
        )

    def predict(
        self, batch_inputs: Tensor, batch_data_samples: list[ClipSample], rescale: bool = True
    ) -> NoReturn:
        """Features alone segment nothing.

        Raises:
            UserError: Always.
        """
        raise UserError(
            'FeatureEmbedder: expected a training without validation (val_cfg=None), got a '
            'prediction to make; start a RapSAM from its checkpoint with load_from'
        )
