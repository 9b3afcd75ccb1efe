"""Text towers of CLIP as frozen encoders of phrases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.model import BaseModule
from torch import Tensor
from torch.nn import functional as F

from ext.open_clip import (
    build_text_encoder,
    locate_weights,
    model_config,
    special_tokens,
    text_weights,
)
from seg.models.backbones.clip_init import CLIP_INIT, check_clip_init
from seg.models.prompts.texts import check_texts, tokens_within
from seg.registry import MODELS
from seg.utils.checkpoints import StateDict, load_weights
from seg.utils.checks import UserError


@MODELS.register_module()
class OpenCLIPBackboneText(BaseModule):
    """Frozen text tower of a CLIP model: phrases to unit vectors.

    It refuses to compute before its weights were loaded, by :meth:`init_weights` or with a
    checkpoint that holds them. Usually held by a :class:`seg.models.prompts.TextEncoder`, which
    does that and keeps the tower out of the model's own checkpoints.

    Args:
        model_name: A model of open_clip with open_clip's own text tower. Files of weights that
            were trained with QuickGELU, as OpenAI's were, need ``'ViT-L-14-quickgelu'``.
        init_cfg: ``dict(type='clip_pretrain', checkpoint=FILE_OR_TAG)``: a local file, or a tag
            under which open_clip publishes weights (which needs a network or open_clip's cache).

    Raises:
        UserError: If the model is unknown or has another kind of text tower, or ``init_cfg`` is
            none of these.
    """

    def __init__(
        self, model_name: str = 'ViT-L-14', init_cfg: Mapping[str, Any] | None = None
    ) -> None:
        if init_cfg is None or init_cfg.get('type') != CLIP_INIT:
            raise UserError(
                f"init_cfg: expected dict(type='{CLIP_INIT}', checkpoint=FILE_OR_TAG), got "
                f'{init_cfg}; a text tower with random weights understands nothing'
            )
        check_clip_init(init_cfg)
        super().__init__(init_cfg)
        self.model_name = model_name
        self.checkpoint = str(init_cfg['checkpoint'])
        self.embed_channels: int = model_config(model_name)['embed_dim']
        self.encoder = build_text_encoder(model_name, self.checkpoint)
        self.encoder.requires_grad_(False)
        self._has_weights = False
        self.register_load_state_dict_pre_hook(_note_weights)

    def init_weights(self) -> None:
        """Load the text tower of the checkpoint.

        Raises:
            FileNotFoundError: If the checkpoint is neither a file nor a published tag; the message
                says where it was looked for and how to get it.
            OSError: If a published checkpoint cannot be downloaded.
            UserError: If the checkpoint is unreadable or of another architecture.
        """
        path = locate_weights(self.model_name, self.checkpoint)
        load_weights(self.encoder.tower, text_weights(path), name=f'the text tower in {path}')
        self._has_weights = self._is_init = True

    @torch.no_grad()
    def forward(self, texts: Sequence[str]) -> Tensor:
        """Embed phrases.

        Args:
            texts: N phrases; N may be 0. Over-long ones are cut with a warning.

        Returns:
            Unit vectors (N, embed_channels), float32, without gradient.

        Raises:
            UserError: If a phrase cannot be encoded, see
                :func:`seg.models.prompts.texts.check_texts`, or no weights were loaded.
        """
        if not self._has_weights:
            raise UserError(
                f'OpenCLIPBackboneText({self.model_name!r}): its weights were not loaded; call '
                'init_weights() first'
            )
        check_texts(texts)
        device = next(self.parameters()).device
        if not texts:
            return torch.zeros(0, self.embed_channels, device=device)
        with torch.autocast(device.type, enabled=False):
            embedding: Tensor = self.encoder(self._tokens(texts))
        return F.normalize(embedding.float(), dim=-1)

    def train(self, mode: bool = True) -> OpenCLIPBackboneText:
        """Stay in evaluation mode."""
        super().train(mode)
        self.encoder.eval()
        return self

    def _tokens(self, texts: Sequence[str]) -> Tensor:
        """Tokens (N, context_length), int64, on the CPU."""
        start, end = special_tokens()
        tower: Any = self.encoder.tower
        length = tower.context_length
        tokens = torch.zeros(len(texts), length, dtype=torch.long)
        for row, text in zip(tokens, texts, strict=True):
            words = tokens_within(text, length - 2)
            row[: len(words) + 2] = torch.tensor([start, *words, end])
        return tokens


def _note_weights(module: OpenCLIPBackboneText, state: StateDict, prefix: str, *_: object) -> None:
    """Remember that a checkpoint brought the tower's weights along."""
    if all(f'{prefix}{name}' in state for name, _ in module.named_parameters()):
        module._has_weights = True
