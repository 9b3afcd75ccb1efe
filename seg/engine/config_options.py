"""Reading configs, and changing them from the command line without silent mistakes."""

from __future__ import annotations

import ast
import importlib
import os
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

from seg.engine.config_check import check_config, unknown_key_message
from seg.engine.config_schema import node_schema
from seg.utils.checks import UserError

# An example of each plain type, for settings that have no value yet.
_SCALARS = {'int': 1, 'float': 1.0, 'bool': True, 'str': 'text'}
_SUFFIXES = ('.py', '.json', '.yaml', '.yml')
_WORDS = {'true': True, 'false': False, 'none': None, 'null': None}


def load_config(
    path: str | os.PathLike[str],
    options: Sequence[str] = (),
    prepare: Callable[[Config], None] | None = None,
) -> Config:
    """Read a config file, apply ``key=value`` options and check the result.

    Args:
        path: A config file, in Python; one that was dumped as JSON or YAML works too.
        options: Changes such as ``optim_wrapper.optimizer.lr=1e-3``; see :func:`apply_options`.
        prepare: What is done to the config before the options are applied.

    Raises:
        FileNotFoundError: If there is no such file.
        UserError: If it is no config, or an option or a node of the config is wrong.
    """
    path = Path(path)
    _check_is_config_file(path)
    try:
        cfg = Config.fromfile(path, format_python_code=False)
    except Exception as error:  # a config is a program, which may raise anything
        raise UserError(
            f'config {path}: expected a file that runs, got {type(error).__name__}: {error}'
            f'{_raised_at(error)}; mend the file'
        ) from error
    if prepare is not None:
        prepare(cfg)
    apply_options(cfg, options)
    check_config(cfg)
    return cfg


def _check_is_config_file(path: Path) -> None:
    if path.is_dir():
        raise UserError(f'config {path}: expected a file, got a folder; name a .py file in it')
    if not path.is_file():
        raise FileNotFoundError(
            f'config {path}: expected a file, found nothing there; check the path'
        )
    if path.suffix not in _SUFFIXES:
        raise UserError(
            f'config {path}: expected a file in Python, got the suffix {path.suffix!r}; name a '
            'config that ends in .py'
        )


def _raised_at(error: Exception) -> str:
    """The line of a config file that raised an error, in words, if that is known."""
    lines = [
        f' ({frame.filename}, line {frame.lineno})'
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.name == '<module>' and os.path.isfile(frame.filename)
    ]
    return lines[-1] if lines else ''


def apply_options(cfg: Config, options: Sequence[str]) -> None:
    """Change a config in place.

    A key must exist in the config, or be one that the node's constructor takes. Values are Python
    literals (``true``, ``none`` and ``1,2,3`` are understood too) of the kind they replace.

    Args:
        cfg: The config.
        options: ``dotted.key=value``; a number in the key is an index of a list.

    Raises:
        UserError: If an option has no ``=``, an unknown key or a value of the wrong kind.
    """
    for option in options:
        key, equals, text = option.partition('=')
        if not equals or not key:
            raise UserError(f'--cfg-options: expected key=value, got {option!r}')
        _apply(cfg._cfg_dict, tuple(key.split('.')), text)


def _apply(content: dict[str, Any], path: tuple[str, ...], text: str) -> None:
    node: Any = content
    for depth, key in enumerate(path[:-1]):
        node = _descend(node, path[:depth], key)
    old = _look_up(node, path[:-1], path[-1])
    value = _typed_value(text, old, path, _annotation(node, path))
    if isinstance(node, list):
        node[int(path[-1])] = value
    else:
        node[path[-1]] = value


def _descend(node: Any, above: tuple[str, ...], key: str) -> Any:
    child = _look_up(node, above, key)
    if isinstance(child, (dict, list)):
        return child
    where = '.'.join((*above, key))
    kind = 'not set' if child is None else f'{child!r}'
    raise UserError(
        f'--cfg-options {where}: expected a part of the config to look into, but it is {kind}; set '
        f'it as a whole, such as {where}="{{\'key\': 1}}"'
    )


def _look_up(node: Any, above: tuple[str, ...], key: str) -> Any:
    """The present value of a key, ``None`` if it may be set but is not."""
    where = '--cfg-options ' + '.'.join((*above, key))
    if isinstance(node, list):
        if not key.isdigit() or int(key) >= len(node):
            raise UserError(f'{where}: expected an index from 0 to {len(node) - 1}, got {key!r}')
        return node[int(key)]
    schema = node_schema(above, node)
    known = set(schema.allowed or dict.keys(node))
    if key in known or (schema.allowed is None and key in dict.keys(node)):
        return dict.get(node, key)
    if not above and key in dict.keys(node):
        raise UserError(
            f'{where}: {key!r} is a helper of the config file, read before options are applied, so '
            'changing it would have no effect; set the part of the config that uses it'
        )
    raise UserError(unknown_key_message(where, key, schema.name, sorted(known - {'_scope_'})))


def _annotation(node: Any, path: tuple[str, ...]) -> str:
    if isinstance(node, list):
        return ''
    annotations: Mapping[str, str] = node_schema(path[:-1], node).annotations or {}
    return annotations.get(path[-1], '')


def _typed_value(text: str, old: Any, path: tuple[str, ...], annotation: str) -> Any:
    if path[-1] == 'type':
        return _class_or_name(text, path)
    if isinstance(old, str) and not text.startswith(('"', "'")):
        return None if text.lower() == 'none' else text
    value = _parse(text)
    if text[:1] in '{[(' and not isinstance(value, (dict, list, tuple, set)):
        raise UserError(
            f"--cfg-options {'.'.join(path)}: expected a literal such as {{'key': 1.5}} or "
            f"['a', 'b'], got {text!r}; quote the words in it"
        )
    if old is None and annotation in _SCALARS and value is not None:
        old = _SCALARS[annotation]
    if value is None or old is None or _same_kind(value, old, annotation):
        same_container = isinstance(old, (list, tuple)) and value is not None
        return type(old)(value) if same_container else value
    kind = 'a dict' if isinstance(old, dict) else f'a value of type {type(old).__name__}'
    raise UserError(
        f'--cfg-options {".".join(path)}: expected {kind} such as {old!r}, got {text!r}'
    )


def _same_kind(value: Any, old: Any, annotation: str) -> bool:
    if isinstance(old, bool) or isinstance(value, bool):
        return isinstance(old, bool) and isinstance(value, bool)
    if isinstance(old, int):
        return isinstance(value, int) or (isinstance(value, float) and 'float' in annotation)
    if isinstance(old, float):
        return isinstance(value, (int, float))
    if isinstance(old, str):
        return isinstance(value, str)
    if isinstance(old, (list, tuple)):
        return isinstance(value, (list, tuple))
    if isinstance(old, dict):
        return isinstance(value, dict)
    return True


def _parse(text: str) -> Any:
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    for candidate in (text, f'[{text}]'):
        try:
            return ast.literal_eval(candidate)
        except (ValueError, SyntaxError):
            continue
    if ',' not in text or text[:1] in '{[(':
        return text
    return [_parse(part.strip()) for part in text.split(',')]


def _class_or_name(text: str, path: tuple[str, ...]) -> Any:
    """A class from a dotted path, or a registered name as it is."""
    if '.' not in text:
        return text
    module, _, name = text.rpartition('.')
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        where = '.'.join(path)
        raise UserError(f'--cfg-options {where}: cannot import {text!r}: {error}') from error
