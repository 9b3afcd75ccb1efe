"""A model as a folder of data: weights, config and a card that says what it is.

Nothing in such a folder is run: weights are safetensors, the config is JSON whose types may only
name parts of networks and transforms. So a folder from elsewhere can be loaded without trust.
"""

from __future__ import annotations

import inspect
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from mmengine.registry import Registry
from mmengine.utils import get_object_from_string
from torch import nn

import seg.registry
from seg.apis.model_card import CardFacts, card_text
from seg.apis.test_pipeline import pipeline_settings
from seg.engine.config_check import check_config
from seg.utils.atomic_write import write_bytes_atomically
from seg.utils.checkpoints import write_safetensors
from seg.utils.checks import UserError

CONFIG_FILE, WEIGHTS_FILE, CARD_FILE = 'config.json', 'model.safetensors', 'README.md'

# Where the parts of a network may come from; a name without dots is looked up in the registries.
_TRUSTED = re.compile(r'(seg|ext|mmdet\.models|mmcv\.cnn|torch\.nn)(\.\w+)+')
_PLAIN = re.compile(r'(mmdet\.|seg\.)?\w+')


class ModelFolder(NamedTuple):
    """What :func:`read_model_folder` found.

    Attributes:
        cfg: Of the model and of the images that it takes.
        weights_path: The file of weights.
    """

    cfg: Config
    weights_path: Path


def publish_model(
    model: Any, folder: str | os.PathLike[str], facts: CardFacts, half: bool = False
) -> None:
    """Write a model so that :func:`~seg.apis.load_model` reads it back.

    Args:
        model: From :func:`~seg.apis.load_model`.
        folder: Where to; what is there under the same names is replaced.
        facts: What the card says besides what can be seen from the model.
        half: Whether to write half precision.

    Raises:
        UserError: If the config holds something that is no data, or has no test pipeline.
        OSError: If a file cannot be written.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise UserError(f'folder {folder}: expected a folder or nothing, got a file')
    config = _portable_config(model.cfg)
    state = {
        name: value.half() if half and value.dtype == torch.float32 else value
        for name, value in model.state_dict().items()
    }
    write_safetensors(
        folder / WEIGHTS_FILE, state, {'dataset_meta': _plain(model.dataset_meta, 'dataset_meta')}
    )
    write_bytes_atomically(
        folder / CONFIG_FILE, (json.dumps(config, indent=2) + '\n').encode('utf-8')
    )
    card = card_text(model, facts, folder / WEIGHTS_FILE)
    write_bytes_atomically(folder / CARD_FILE, card.encode('utf-8'))


def read_model_folder(folder: str | os.PathLike[str]) -> ModelFolder:
    """Read the config of a published model and check that it is only data.

    Raises:
        FileNotFoundError: If the folder or one of its files is missing.
        UserError: If the config is broken, or names something that is no part of a network.
    """
    folder = Path(folder)
    for name in (CONFIG_FILE, WEIGHTS_FILE):
        if not (folder / name).is_file():
            raise FileNotFoundError(
                f'model folder {folder}: expected {CONFIG_FILE} and {WEIGHTS_FILE}, as '
                f'tools/model_converters/publish.py writes them, found no {name}'
            )
    path = folder / CONFIG_FILE
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
    except ValueError as error:
        raise UserError(f'{path}: expected JSON, got {error}; publish the model anew') from error
    if not isinstance(content, dict) or not isinstance(content.get('model'), dict):
        raise UserError(f'{path}: expected the key "model"; publish the model anew')
    for name in _types(content):
        _check_type(name, path)
    cfg = Config(content)
    check_config(cfg)
    return ModelFolder(cfg, folder / WEIGHTS_FILE)


def _portable_config(cfg: Config) -> dict[str, Any]:
    """What it takes to build the model and to prepare its images, as plain data."""
    pipeline = _plain(pipeline_settings(cfg), 'pipeline')
    return {
        'model': _plain(cfg.model, 'model'),
        'test_dataloader': {'dataset': {'pipeline': pipeline}},
    }


def _plain(value: Any, where: str) -> Any:
    """A part of a config as JSON has it: classes by their names, no weights to start from."""
    if isinstance(value, Mapping):
        return {
            key: None if key == 'init_cfg' else _plain(item, f'{where}.{key}')
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_plain(item, f'{where}.{index}') for index, item in enumerate(value)]
    if inspect.isclass(value) or inspect.isfunction(value):
        return f'{value.__module__}.{value.__qualname__}'
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise UserError(
        f'{where}: expected plain data or a class, got {type(value).__name__}; write it as '
        'numbers, texts and dicts in the config'
    )


def _types(node: Any) -> Iterator[Any]:
    """All values of ``type`` in a config."""
    if isinstance(node, dict):
        if 'type' in node:
            yield node['type']
        node = list(node.values())
    if isinstance(node, list):
        for item in node:
            yield from _types(item)


def _check_type(name: Any, path: Path) -> None:
    """Refuse a type that could do anything but be a part of a network or a transform."""
    if isinstance(name, str) and _PLAIN.fullmatch(name):
        return
    if isinstance(name, str) and _TRUSTED.fullmatch(name):
        target = get_object_from_string(name)
        if inspect.isclass(target) and (issubclass(target, nn.Module) or target in _registered()):
            return
    raise UserError(
        f'{path}: refused, because its type {name!r} is no part of a network that this package '
        'or MMDetection has; a model of your own code is loaded by its config in Python'
    )


def _registered() -> set[Any]:
    """Everything in the registries of the package."""
    found = [value for value in vars(seg.registry).values() if isinstance(value, Registry)]
    return {entry for registry in found for entry in registry.module_dict.values()}
