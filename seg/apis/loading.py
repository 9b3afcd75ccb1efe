"""From a name, or a config and a checkpoint, to a model that is ready to predict."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from mmengine.model import BaseModel

from seg.apis.model_folder import read_model_folder
from seg.apis.model_hub import download_model_folder, is_hub_name
from seg.apis.model_zoo import MODEL_ZOO, ModelEntry, model_entry
from seg.engine.class_counts import check_class_counts, fill_class_counts
from seg.engine.config_options import load_config
from seg.models.detectors.promptable import PromptableSegmentor
from seg.models.peft.delta import needs_base, with_base
from seg.registry import DATASETS, MODELS
from seg.utils.checkpoints import load_weights, read_checkpoint, read_dataset_meta, unwrap_state
from seg.utils.checks import UserError
from seg.utils.safe_loaders import install_safe_loaders

_LONGEST_REASON = 120  # characters of what PyTorch says


def load_model(
    name_or_config: str | os.PathLike[str],
    checkpoint: str | os.PathLike[str] | None = None,
    device: str | torch.device | None = None,
) -> BaseModel:
    """Build a model, load its weights and switch it to evaluation.

    The model carries ``cfg`` (its config), ``dataset_meta`` (``classes``, ``num_things``, ...) and
    ``entry`` (its :class:`~seg.apis.model_zoo.ModelEntry`, ``None`` for other weights than those
    of the package).

    Args:
        name_or_config: One of :func:`~seg.apis.list_models`, the path of a config (``.py``), a
            folder that ``tools/model_converters/publish.py`` wrote, or ``hub:OWNER/NAME``, which
            fetches such a folder from a hub.
        checkpoint: Weights; those of the package when a model is given by its name, those of the
            folder for a folder.
        device: Where it runs, such as ``'cpu'`` or ``'cuda:0'``; the GPU if there is one.

    Raises:
        UserError: If the name, the device or the config is unknown or wrong, a config comes
            without a checkpoint, or the checkpoint is unsafe or belongs to another model or to
            other numbers of classes.
        FileNotFoundError: If a file is missing.
        TypeError: If ``name_or_config`` is neither a name nor a path.
    """
    target = choose_device(device)
    install_safe_loaders()
    cfg, weights_path, entry = _find_source(name_or_config, checkpoint)
    content = _read_weights(weights_path, cfg)
    stored_meta = read_dataset_meta(weights_path, content)
    fill_class_counts(cfg, stored_meta)
    model: Any = MODELS.build(cfg.model)
    check_class_counts(model, stored_meta or {}, f'{weights_path} (its classes)')
    state = unwrap_state(content, str(weights_path))
    if needs_base(content):
        state = with_base(state, content['meta'], model, str(weights_path))
    load_weights(model, state, name=str(weights_path))
    model.cfg, model.entry = cfg, entry
    if isinstance(model, PromptableSegmentor) and not model.knows_classes:
        stored_meta = stored_meta or {'classes': ('object',), 'num_things': 1}
    model.dataset_meta = _with_classes(stored_meta, cfg, weights_path)
    return model.to(target).eval()


def _read_weights(path: Path, cfg: Config) -> dict[str, Any]:
    """Read a checkpoint; errors say where published weights of the model are to be had."""
    kind = cfg.model.type
    model = MODELS.get(kind) if isinstance(kind, str) else kind
    try:
        return read_checkpoint(path)
    except (FileNotFoundError, UserError) as error:
        if not issubclass(model, PromptableSegmentor) or not model.where_weights:
            raise
        raise type(error)(f'{error}; {model.where_weights}') from error


class _Source(NamedTuple):
    """Where a model comes from."""

    cfg: Config
    weights_path: Path
    entry: ModelEntry | None


def _find_source(
    name: str | os.PathLike[str], checkpoint: str | os.PathLike[str] | None
) -> _Source:
    if is_hub_name(name):
        name = download_model_folder(str(name))
    if _is_folder(name):
        folder = read_model_folder(name)
        if checkpoint is not None:
            raise UserError(
                f'checkpoint: expected none, as the folder {name} has its own weights, got '
                f'{checkpoint}; give a config in Python to use other weights'
            )
        return _Source(*folder, entry=None)
    if not _is_config_path(name):
        entry = model_entry(str(name))
        cfg = read_config(entry.config_path)
        if checkpoint is None:
            return _Source(cfg, entry.weights_path, entry)
        return _Source(cfg, Path(checkpoint), None)
    if checkpoint is None:
        raise UserError(
            f'checkpoint: expected the weights to use with {name}, got none; '
            'pass the checkpoint that was trained with this config'
        )
    return _Source(read_config(name), Path(checkpoint), None)


def choose_device(device: str | torch.device | None = None) -> torch.device:
    """The device of that name, or the GPU if there is one and no name is given.

    Raises:
        UserError: If there is no such device.
    """
    if device is None:
        return torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    try:
        torch.zeros(1, device=device).tolist()
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0].partition('. ')[0][:_LONGEST_REASON]
        there = 'cpu or cuda:0' if torch.cuda.is_available() else 'cpu, as there is no GPU'
        raise UserError(
            f'device {str(device)!r}: expected one that this machine has, such as {there}; got: '
            f'{reason}'
        ) from error
    chosen = torch.device(device)
    if chosen.type == 'cpu' and chosen.index:
        raise UserError(
            f"device '{chosen}': expected cpu, which is all processors together, got number "
            f'{chosen.index}'
        )
    return chosen


def read_config(path: str | os.PathLike[str]) -> Config:
    """Read a config file.

    Raises:
        FileNotFoundError: If there is no such file.
        UserError: If it is no config of a model, or names a setting that does not exist.
    """
    cfg = load_config(path)
    if 'model' not in cfg:
        raise UserError(
            f'config {path}: expected a config with the key "model", got the keys '
            f'{", ".join(cfg) or "none"}'
        )
    return cfg


def _is_folder(name: str | os.PathLike[str]) -> bool:
    return isinstance(name, str | os.PathLike) and name not in MODEL_ZOO and Path(name).is_dir()


def _is_config_path(name: str | os.PathLike[str]) -> bool:
    if not isinstance(name, str | os.PathLike):
        raise TypeError(
            'name_or_config: expected the name of a model or the path of a config, got '
            f'{type(name).__name__}; write the config to a file (cfg.dump(FILE)) and give its path'
        )
    return isinstance(name, os.PathLike) or name.endswith('.py') or os.sep in name


def _with_classes(
    stored_meta: dict[str, Any] | None, cfg: Config, weights_path: Path
) -> dict[str, Any]:
    """The stored class names, or else those of the config's validation data."""
    meta = stored_meta
    if meta is None and 'val_dataloader' in cfg:
        meta = DATASETS.build(cfg.val_dataloader.dataset).metainfo
    if meta is None:
        raise UserError(
            f'{weights_path}: expected class names in the checkpoint (meta.dataset_meta) or a '
            'val_dataloader in the config that knows them, got neither'
        )
    return {**meta, 'classes': tuple(meta['classes'])}
