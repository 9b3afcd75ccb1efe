"""The state of a training run as tensors and plain containers, so that it can be read back safely.

MMEngine keeps objects in its checkpoints (``HistoryBuffer``, NumPy scalars); these functions turn
them into plain data and back.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer, MessageHub
from torch import Tensor

from seg.utils.checks import UserError

# How much of each curve travels in a checkpoint: enough for every smoothing window of the log.
_HISTORY_LENGTH = 1000


def capture_rng() -> dict[str, Any]:
    """The states of all random generators that training draws from, as plain data."""
    numpy_state: Any = np.random.get_state()  # noqa: NPY002
    kind, keys, *rest = numpy_state
    state = {
        'python': _plain(random.getstate(), 'python'),
        'numpy': [str(kind), torch.from_numpy(keys.astype(np.int64)), *rest],
        'torch': torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        state['cuda'] = torch.cuda.get_rng_state()
    return state


def restore_rng(state: Mapping[str, Any]) -> None:
    """Continue the random sequences that :func:`capture_rng` saw."""
    version, internal, gauss_next = state['python']
    random.setstate((version, tuple(internal), gauss_next))
    kind, keys, *rest = state['numpy']
    keys = keys.cpu().numpy().astype(np.uint32)
    np.random.set_state((kind, keys, *rest))  # noqa: NPY002
    torch.set_rng_state(state['torch'].cpu())
    if 'cuda' in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state['cuda'].cpu())


def pack_message_hub(hub: MessageHub) -> dict[str, Any]:
    """Logged curves (their last part) and the plain part of the runtime information."""
    content = hub.state_dict()
    scalars = {}
    for name, buffer in content['log_scalars'].items():
        values, counts = buffer.data
        scalars[name] = [
            torch.as_tensor(values[-_HISTORY_LENGTH:].astype(np.float64)),
            torch.as_tensor(counts[-_HISTORY_LENGTH:].astype(np.float64)),
        ]
    info = {key: value for key, value in content['runtime_info'].items() if key != 'cfg'}
    return {'log_scalars': scalars, 'runtime_info': _plain(info, 'message_hub')}


def unpack_message_hub(hub: MessageHub, state: Mapping[str, Any]) -> None:
    """Put back what :func:`pack_message_hub` took."""
    scalars = {
        name: HistoryBuffer(values.tolist(), counts.tolist())
        for name, (values, counts) in state['log_scalars'].items()
    }
    info = dict(state['runtime_info'])
    keys = dict.fromkeys([*scalars, *info], True)
    hub.load_state_dict({'log_scalars': scalars, 'runtime_info': info, 'resumed_keys': keys})


def to_plain(content: Mapping[str, Any]) -> dict[str, Any]:
    """Turn a checkpoint's content into tensors (on the CPU) and plain containers.

    Raises:
        UserError: If it holds an object that has no plain form, naming where.
    """
    return _plain(dict(content), 'checkpoint')


def _plain(value: Any, where: str) -> Any:
    if isinstance(value, Tensor):
        return value.detach().cpu()
    if isinstance(value, Mapping):
        return {key: _plain(item, f'{where}[{key!r}]') for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        items = [_plain(item, f'{where}[{i}]') for i, item in enumerate(value)]
        return tuple(items) if isinstance(value, tuple) else items
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if value is None or type(value) in (bool, int, float, str, bytes):
        return value
    return _plain_leaf(value, where)


def _plain_leaf(value: Any, where: str) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray) and value.dtype != object:
        return torch.from_numpy(value.copy())
    if isinstance(value, (str, PurePath)):
        return str(value)
    if isinstance(value, (torch.dtype, torch.device)):
        return str(value)
    raise UserError(
        f'{where}: expected tensors, numbers, strings and containers of them in a training state, '
        f'got {type(value).__name__}; keep objects out of message_hub and checkpoint hooks'
    )
