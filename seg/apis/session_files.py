"""Sessions on videos as files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from torch import Tensor

from seg.models.memory import MemoryState
from seg.structures import Prompts, Task
from seg.utils.checkpoints import read_metadata, read_weights, write_safetensors
from seg.utils.checks import UserError

_FORMAT = 'rapsam-video-session-2'

PendingPrompts = dict[int, dict[int, Prompts]]
"""Frame -> id of an object -> what is said about it there."""


@dataclass(frozen=True)
class SavedSession:
    """What a file holds of a session; its last frame is not kept.

    Attributes:
        size: (H, W) of all frames.
        task: Its task.
        frame_index: The next frame.
        state: What is remembered, ``None`` before the first frame.
        pending: Prompts on frames to come.
    """

    size: tuple[int, int]
    task: Task
    frame_index: int
    state: MemoryState | None
    pending: PendingPrompts = field(default_factory=dict)


def write_session(path: str | Path, session: SavedSession) -> None:
    """Write a ``.safetensors`` file.

    Raises:
        UserError: If the file has another suffix.
        OSError: If it cannot be written.
    """
    _check_suffix(path)
    tensors = {} if session.state is None else session.state.state_dict()
    tensors = {f'memory.{name}': tensor for name, tensor in tensors.items()}
    texts = {}
    for frame, rows in session.pending.items():
        for object_id, row in rows.items():
            place = f'pending.{frame}.{object_id}'
            texts[place] = row.texts[0]
            for f in fields(row):
                value = getattr(row, f.name)
                if isinstance(value, Tensor):
                    tensors[f'{place}.{f.name}'] = value
    about = dict(
        size=session.size,
        task=session.task.value,
        frame=session.frame_index,
        remembers=session.state is not None,
        texts=texts,
    )
    write_safetensors(path, tensors, {'format': _FORMAT, 'session': json.dumps(about)})


def read_session(path: str | Path) -> SavedSession:
    """Read what :func:`write_session` wrote.

    Raises:
        FileNotFoundError: If there is no such file.
        UserError: If it is no session.
    """
    _check_suffix(path)
    about = _read_about(path)
    has_tensors = about['remembers'] or about['texts']
    tensors: Mapping[str, Tensor] = read_weights(path) if has_tensors else {}
    memory = _below(tensors, 'memory.')
    pending: PendingPrompts = {}
    for place, text in about['texts'].items():
        _, frame, object_id = place.split('.')
        values: dict[str, Any] = {'masks': None, **_below(tensors, f'{place}.'), 'texts': (text,)}
        pending.setdefault(int(frame), {})[int(object_id)] = Prompts(**values)
    height, width = about['size']
    return SavedSession(
        size=(height, width),
        task=Task.parse(about['task']),
        frame_index=int(about['frame']),
        state=MemoryState.from_state_dict(memory) if memory else None,
        pending=pending,
    )


def _below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Tensors whose names begin so, without it."""
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }


def _check_suffix(path: str | Path) -> None:
    if Path(path).suffix != '.safetensors':
        raise UserError(f'{path}: expected a file named *.safetensors, got {Path(path).name!r}')


def _read_about(path: str | Path) -> dict[str, Any]:
    header = read_metadata(path)
    if header.get('format') != _FORMAT:
        raise UserError(
            f'{path}: expected a video session in the format {_FORMAT}, got '
            f'{header.get("format", "a file of another kind")}; save one with session.save of this '
            'version'
        )
    return json.loads(header['session'])
