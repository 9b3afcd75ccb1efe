"""Trainings that belong to a larger plan: done once, resumed where they stopped, then skipped."""

from __future__ import annotations

import gc
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from seg.engine.launch import build_runner
from seg.utils.atomic_write import write_bytes_atomically
from seg.utils.checkpoints import LAST_CHECKPOINT
from seg.utils.checks import UserError
from seg.utils.json_text import json_text, read_json_object

_STATE = 'run.json'
_BEST = 'best.pth'
_CHUNK = 1 << 20
_KINDS = {'digest': str, 'checkpoint': str, 'iterations': int, 'minutes': dict}
OF_TRAININGS = {
    'model': dict,
    'train_cfg': dict,
    'train_dataloader.dataset': dict,
    'default_hooks.checkpoint': dict,
}
"""Settings without which there is no training, and their types; see :func:`check_settings`."""
# What a plan may change between two attempts without the run becoming another one.
_PLACES = ('work_dir', 'load_from', 'resume', 'launcher')
_CHECKPOINT = 'checkpoint'  # key of weights that a part of a model starts from


@dataclass(frozen=True)
class FinishedRun:
    """A training that is over.

    Attributes:
        checkpoint: Best weights where validations chose them, else the last training state.
        iterations: How many were trained.
        minutes: ``cpu`` and ``wall``.
        skipped: Whether it had been over before.
    """

    checkpoint: Path
    iterations: int
    minutes: Mapping[str, float]
    skipped: bool = False


def check_settings(
    cfg: Config, config_path: str | os.PathLike[str], needed: Mapping[str, type]
) -> None:
    """Refuse configs that lack what a plan needs of them, before anything is trained.

    Args:
        cfg: The config, with all changes.
        config_path: Its file.
        needed: Dotted names of settings, and their types.

    Raises:
        UserError: If one is missing or of another type.
    """
    wrong = []
    for name, kind in needed.items():
        value: Any = cfg
        for key in name.split('.'):
            value = value.get(key) if isinstance(value, (dict, Config)) else None
        if not isinstance(value, kind):
            wrong.append(name)
    if wrong:
        raise UserError(
            f'{config_path}: expected settings in {", ".join(wrong)}, got none or others; use '
            'another config, or leave out what changes that'
        )


def run_once(
    cfg: Config,
    config_path: str | os.PathLike[str],
    work_dir: Path,
    load_from: Path | None = None,
) -> FinishedRun:
    """Train as a config says, unless that was done; go on with a training that was interrupted.

    ``run.json`` in the work folder says which settings a run has and whether it is over.

    Args:
        cfg: The checked config, with all changes.
        config_path: Its file.
        work_dir: Folder of the run.
        load_from: Weights to start from, unless the training goes on; by default those that the
            config names, if any.

    Raises:
        UserError: If the folder holds a run of other settings, or of other weights to start from,
            or one that no plan began, or whose weights are gone, or if there are no weights to
            start from where they should be.
    """
    if load_from is None and cfg.get('load_from'):
        load_from = Path(cfg['load_from'])
    if load_from is not None and not load_from.is_file():
        raise UserError(f'load_from: expected a file of weights, found none at {load_from}')
    has_trained = any((work_dir / name).is_file() for name in (LAST_CHECKPOINT, _BEST))
    found = _read_state(work_dir)
    if found is None and has_trained:
        raise UserError(
            f'{work_dir}: expected a folder of this plan or an empty one, got that of another '
            'training; choose another folder'
        )
    if found is not None and not has_trained and 'checkpoint' not in found:
        found = None  # it was begun and failed before anything was trained
    digest = _digest(cfg, load_from)
    if found is not None and found['digest'] != digest:
        raise UserError(
            f'{work_dir}: expected a run of the settings of {config_path} and of the weights '
            'before it, got one of others; choose another folder, or remove this one to train again'
        )
    if found is not None and 'checkpoint' in found:
        checkpoint = work_dir / found['checkpoint']
        if not checkpoint.is_file():
            raise UserError(
                f'{work_dir}: expected the weights {checkpoint.name} of a training that is over, '
                'found none; put them back, or remove the folder to train again'
            )
        return FinishedRun(checkpoint, found['iterations'], found['minutes'], skipped=True)
    cfg['load_from'] = None if load_from is None else str(load_from)
    if (work_dir / LAST_CHECKPOINT).is_file():
        last = _last_state(work_dir)
        if not last.is_file():
            raise UserError(
                f'{work_dir}: expected the training state {last.name}, which {LAST_CHECKPOINT} '
                'names, found none; put it back, or remove the folder to train again'
            )
        cfg['resume'], cfg['load_from'] = True, None
    runner = build_runner(cfg, config_path, work_dir)
    _write_state(work_dir, {'digest': digest})
    runner.train()
    finished = FinishedRun(
        _chosen_checkpoint(work_dir),
        int(runner.iter),
        dict(runner.message_hub.get_info('training_minutes')),
    )
    state = {
        'digest': digest,
        'checkpoint': finished.checkpoint.name,
        'iterations': finished.iterations,
        'minutes': finished.minutes,
    }
    _write_state(work_dir, state)
    # Workers of the next run must not inherit the loaders of this one, which would ask about
    # processes that are not theirs.
    del runner
    gc.collect()
    return finished


def _chosen_checkpoint(work_dir: Path) -> Path:
    best = work_dir / _BEST
    return best if best.is_file() else _last_state(work_dir)


def _last_state(work_dir: Path) -> Path:
    """The training state that was written last, wherever the folder was then."""
    named = (work_dir / LAST_CHECKPOINT).read_text(encoding='utf-8').strip()
    return work_dir / Path(named).name


def _digest(cfg: Config, load_from: Path | None) -> str:
    """Fingerprint of settings and of all weights that a run starts from, teachers included."""
    content = {key: value for key, value in cfg.to_dict().items() if key not in _PLACES}
    found = hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode())
    for path in [load_from, *_named_weights(cfg.model)]:
        if path is not None and path.is_file():
            found.update(file_digest(path))
    return found.hexdigest()


def file_digest(path: Path) -> bytes:
    """Fingerprint of what is in a file."""
    found = hashlib.sha256()
    with path.open('rb') as file:
        while chunk := file.read(_CHUNK):
            found.update(chunk)
    return found.digest()


def _named_weights(node: Any) -> Iterator[Path]:
    """Files that parts of a model name as weights to start from."""
    if isinstance(node, (list, tuple)):
        for item in node:
            yield from _named_weights(item)
    elif isinstance(node, dict):
        for key, value in dict.items(node):
            if key == _CHECKPOINT and isinstance(value, str):
                yield Path(value)
            else:
                yield from _named_weights(value)


def _read_state(work_dir: Path) -> dict[str, Any] | None:
    path = work_dir / _STATE
    if not path.is_file():
        return None
    what = 'the state of a training as this package writes it'
    otherwise = 'remove the folder to train again'
    state = read_json_object(path, what, otherwise)
    needed = list(_KINDS) if 'checkpoint' in state else ['digest']
    wrong = [name for name in needed if not isinstance(state.get(name), _KINDS[name])]
    if wrong:
        raise UserError(f'{path}: expected {what}, got none or others of {wrong}; {otherwise}')
    return state


def _write_state(work_dir: Path, state: Mapping[str, Any]) -> None:
    write_bytes_atomically(work_dir / _STATE, f'{json_text(state, indent=2)}\n'.encode())
