"""Finding mistakes in a config before anything is built from it."""

from __future__ import annotations

import difflib
from typing import Any

from mmengine.config import Config

from seg.engine.config_schema import node_schema
from seg.engine.config_values import check_values
from seg.utils.checks import UserError

_MAX_SHOWN = 12
# Counts below 1 would train nothing, or never end an interval.
_COUNTS = {
    'train_cfg': ('max_iters', 'max_epochs', 'val_interval'),
    'optim_wrapper': ('accumulative_counts',),
    'train_dataloader': ('batch_size',),
    'val_dataloader': ('batch_size',),
    'test_dataloader': ('batch_size',),
}


def check_config(cfg: Config | dict[str, Any]) -> None:
    """Check that the keys of every node fit what the node builds.

    Nothing is built; classes are imported. Top-level names that the runner does not know are
    allowed, since helpers of a config file end up there.

    Args:
        cfg: A config, lazy (classes as ``type``) or with registered names.

    Raises:
        UserError: Naming the path of the node, the wrong or missing key and the nearest valid one,
            or a count below 1, such as the length of the training.
    """
    content: dict[str, Any] = cfg._cfg_dict if isinstance(cfg, Config) else cfg
    for key, value in dict.items(content):
        _check(value, (str(key),))
    _check_counts(content)


def unknown_key_message(where: str, key: str, owner: str, known: list[str]) -> str:
    """One line for a key that is not known at a place of a config.

    Args:
        where: Dotted path of the key.
        key: Its last part.
        owner: What was expected to take it.
        known: The keys it does take.
    """
    near = difflib.get_close_matches(key, known, n=1)
    hint = f' Did you mean {near[0]!r}?' if near else ''
    shown = ', '.join(sorted(known)[:_MAX_SHOWN]) + (', ...' if len(known) > _MAX_SHOWN else '')
    return f'{where}: {owner} takes no {key!r}.{hint} It takes: {shown or "nothing"}'


def _check_counts(content: dict[str, Any]) -> None:
    for part, keys in _COUNTS.items():
        node: Any = dict.get(content, part)
        for key in keys:
            value = dict.get(node, key) if isinstance(node, dict) else None
            if isinstance(value, (int, float)) and not value >= 1:
                raise UserError(f'{part}.{key}: expected 1 or more, got {value}; give a number')


def _check(value: Any, path: tuple[str, ...]) -> None:
    if isinstance(value, dict):
        _check_node(value, path)
        check_values(value, path)
        # Unlike the method of a ConfigDict this builds no lazy objects.
        for key, item in dict.items(value):
            _check(item, (*path, str(key)))
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            _check(item, (*path, str(index)))


def _check_node(node: dict[str, Any], path: tuple[str, ...]) -> None:
    schema = node_schema(path, node)
    if schema.allowed is None:
        return
    where = '.'.join(path)
    for key in dict.keys(node):
        if key not in schema.allowed:
            known = sorted(schema.allowed - {'_scope_'})
            raise UserError(unknown_key_message(f'{where}.{key}', str(key), schema.name, known))
    missing = sorted(key for key in schema.required if key not in node)
    if missing and not _is_completed_by_parent(path):
        raise UserError(f'{where}: {schema.name} needs {", ".join(missing)}, which is not given')


def _is_completed_by_parent(path: tuple[str, ...]) -> bool:
    """Whether a node is a part of a model, whose widths and counts its owner fills in."""
    return path[0] == 'model' and len(path) > 1
