"""Values of a config that are wrong whatever is built from it: tasks, loss weights, ratios."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

from seg.datasets import ClipDataset, MixedDataset
from seg.engine.config_schema import resolve_type
from seg.models.routing import check_task_loss_weights
from seg.structures import Task
from seg.utils.checks import UserError, unknown_name_message


def check_values(node: dict[str, Any], path: tuple[str, ...]) -> None:
    """Check the values of one node.

    Args:
        node: The node; its lazy objects are not built.
        path: Keys that lead to it.

    Raises:
        UserError: Naming the path and the value.
    """
    where = '.'.join(path)
    weights, task = dict.get(node, 'task_loss_weights'), dict.get(node, 'task')
    if isinstance(weights, Mapping):
        _at(where, lambda: check_task_loss_weights(weights))
    if task is not None and _builds(node, path, ClipDataset):
        _at(f'{where}.task', lambda: Task.parse(task))
    sources, ratios = dict.get(node, 'sources'), dict.get(node, 'ratios')
    if isinstance(ratios, Mapping) and _builds(node, path, MixedDataset):
        _check_ratios(list(dict.keys(sources or {})), ratios, f'{where}.ratios')


def _builds(node: dict[str, Any], path: tuple[str, ...], kind: type) -> bool:
    """Whether a node builds an instance of some class."""
    value = dict.get(node, 'type')
    target = None if value is None else resolve_type(value, path)
    return inspect.isclass(target) and issubclass(target, kind)


def _check_ratios(sources: list[str], ratios: Mapping[str, Any], where: str) -> None:
    for name, ratio in ratios.items():
        if name not in sources:
            raise UserError(f'{where}: {unknown_name_message("source", str(name), sources)}')
        number = isinstance(ratio, (int, float)) and not isinstance(ratio, bool)
        if not (number and math.isfinite(ratio) and ratio > 0):
            raise UserError(
                f'{where}[{name!r}]: expected a finite number above 0, got {ratio!r}; leave a '
                'source out of sources to switch it off'
            )


def _at(where: str, check: Callable[[], object]) -> None:
    try:
        check()
    except ValueError as error:
        raise UserError(f'{where}: {error}') from None
