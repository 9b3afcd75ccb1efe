"""Phrases to embeddings by a frozen text tower that the model's checkpoints do not carry."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from seg.models.prompts.texts import TextWords, check_texts
from seg.registry import MODELS
from seg.utils.checks import UserError

_BATCH = 256


@MODELS.register_module()
class TextEncoder(BaseModule):
    """Embeds phrases with a frozen backbone and remembers them.

    The backbone is no submodule: it is absent from ``state_dict()``, ``parameters()`` and
    distributed wrappers, and copies of the encoder share it. It is built and loaded when weights
    are initialised, so that a training with absent files stops at once, or when the first phrase
    comes; weights that cannot be found are an error, never replaced.

    Args:
        backbone: Config of a frozen encoder with ``embed_channels``, ``init_weights()`` and
            ``forward(texts)``, such as :class:`seg.models.backbones.OpenCLIPBackboneText`.
        cache_size: How many embeddings are remembered, the latest used ones.

    Raises:
        UserError: If ``cache_size`` is below 1.
    """

    device_anchor: Tensor

    def __init__(
        self, backbone: Mapping[str, Any], cache_size: int = 10_000, init_cfg: dict | None = None
    ) -> None:
        super().__init__(init_cfg)
        if cache_size < 1:
            raise UserError(f'TextEncoder.cache_size: expected at least 1, got {cache_size}')
        with torch.device('meta'):
            self.embed_channels: int = MODELS.build(dict(backbone)).embed_channels
        self.cache_size = cache_size
        self._tower = _FrozenTower(dict(backbone))
        self._cache: OrderedDict[str, Tensor] = OrderedDict()
        self.register_buffer('device_anchor', torch.zeros(1), persistent=False)

    def init_weights(self) -> None:
        """Build and load the backbone.

        Raises:
            FileNotFoundError: If its weights are not where they should be.
            OSError: If they cannot be downloaded.
            UserError: If they do not fit.
        """
        self._tower.on(self.device_anchor.device)
        self._is_init = True

    def forward(self, texts: Sequence[str]) -> Tensor:
        """Embed phrases.

        Args:
            texts: N phrases; N may be 0.

        Returns:
            (N, embed_channels), float32, without gradient, on the encoder's device.

        Raises:
            FileNotFoundError: If the backbone's weights are not where they should be.
            OSError: If they cannot be downloaded.
            UserError: If a phrase cannot be encoded, see
                :func:`seg.models.prompts.texts.check_texts`, or the weights do not fit.
        """
        check_texts(texts)
        device = self.device_anchor.device
        if not texts:
            return torch.zeros(0, self.embed_channels, device=device)
        known = {text: self._cache[text] for text in texts if text in self._cache}
        new = [text for text in dict.fromkeys(texts) if text not in known]
        for start in range(0, len(new), _BATCH):
            batch = new[start : start + _BATCH]
            known.update(zip(batch, self._tower.on(device)(batch).cpu(), strict=True))
        self._remember(known)
        return torch.stack([known[text] for text in texts]).to(device)

    def words(self, texts: Sequence[str]) -> TextWords:
        """Each of N >= 1 phrases as a single word, its embedding; errors as in :meth:`forward`."""
        embedded = self(texts).unsqueeze(1)
        return TextWords(embedded, torch.ones_like(embedded[..., 0], dtype=torch.bool))

    def _remember(self, embeddings: Mapping[str, Tensor]) -> None:
        for text, embedding in embeddings.items():
            self._cache[text] = embedding
            self._cache.move_to_end(text)
        while len(self._cache) > self.cache_size:
            self._cache.popitem(last=False)


class _FrozenTower:
    """A module that is built when it is needed and that copies share.

    Args:
        config: What to build.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        self._config = config
        self._module: nn.Module | None = None

    def on(self, device: torch.device) -> nn.Module:
        """The module with its weights, on a device."""
        if self._module is None:
            module = MODELS.build(dict(self._config))
            module.init_weights()
            self._module = module.eval().requires_grad_(False)
        return self._module.to(device)

    def __deepcopy__(self, memo: dict[int, Any]) -> _FrozenTower:
        return self

    def __reduce__(self) -> tuple[type[_FrozenTower], tuple[dict[str, Any]]]:
        return _FrozenTower, (self._config,)
