"""Embeddings of a frozen image encoder, computed once per image and kept on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seg.models.peft.delta import weights_hash
from seg.registry import TASK_UTILS
from seg.structures import ClipSample
from seg.utils.checks import UserError
from seg.utils.embedding_store import EmbeddingStore


@TASK_UTILS.register_module()
class EmbeddingCache:
    """Looks embeddings up by encoder weights, precision, canvas, normalisation and image's pixels.

    Anything else in a run may change without touching the cache; a change of one of these makes new
    entries and leaves the others. Entries are half-precision; an entry that has just been computed
    is used rounded too, so that a run does not depend on what was cached before.

    Args:
        folder: Where embeddings are kept, below a folder per encoder. Several processes may share
            it.
        shard_bytes: Size of its files.
    """

    def __init__(self, folder: str | Path, shard_bytes: int = 1 << 30) -> None:
        self.folder = Path(folder)
        self.shard_bytes = shard_bytes
        self._stores: dict[str, EmbeddingStore] = {}

    def embed(
        self,
        inputs: Tensor,
        samples: Sequence[ClipSample],
        model: Any,
        shape: Sequence[int],
    ) -> Tensor:
        """Embeddings of a batch, (B, C, h, w), float32.

        Args:
            inputs: What the model's ``extract_feat`` takes, (B, ...).
            samples: With ``image_key`` in their metainfo.
            model: Computes what is missing; its ``image_encoder`` and ``data_preprocessor`` count.
            shape: (C, h, w).

        Raises:
            UserError: If samples have no key, or the cache cannot be used.
        """
        store = self._store_of(inputs, model, shape)
        keys = [_key(sample) for sample in samples]
        known = [store.get(key) for key in keys]
        missing = [i for i, array in enumerate(known) if array is None]
        if missing:
            with torch.no_grad():
                computed = model.extract_feat(inputs[missing]).float().cpu().half().numpy()
            for i, array in zip(missing, computed, strict=True):
                store.put(keys[i], array)
                known[i] = array
        arrays = np.stack([array for array in known if array is not None])
        return torch.from_numpy(arrays).to(inputs.device).float()

    def _store_of(self, inputs: Tensor, model: Any, shape: Sequence[int]) -> EmbeddingStore:
        """The store of this encoder, computing in the precision of now."""
        kind = inputs.device.type
        mixed = torch.is_autocast_enabled(kind)
        precision = str(torch.get_autocast_dtype(kind)) if mixed else 'single'
        if precision not in self._stores:
            name = self._name(inputs, model, precision)
            self._stores[precision] = EmbeddingStore(self.folder / name, shape, self.shard_bytes)
        return self._stores[precision]

    @staticmethod
    def _name(inputs: Tensor, model: Any, precision: str) -> str:
        state = model.image_encoder.state_dict()
        digest = hashlib.blake2b(weights_hash(state, state).encode(), digest_size=12)
        for name in ('mean', 'std'):
            digest.update(str(getattr(model.data_preprocessor, name).flatten().tolist()).encode())
        digest.update(f'{tuple(inputs.shape[-2:])} {precision}'.encode())
        return digest.hexdigest()


def _key(sample: ClipSample) -> str:
    key = sample.get('image_key')
    if key is None:
        raise UserError(
            'embedding_cache: expected samples with image_key, got one without; add '
            "dict(type=AddImageKey) before PackClip, and meta_keys=('image_key',) to PackClip"
        )
    return str(key)
