"""Class counts: those that a config leaves to its data, and whether model and data agree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmengine.config import Config

from seg.registry import DATASETS
from seg.utils.checks import UserError

FROM_DATA = 'from_data'
"""Value of ``model.head.num_things`` and ``num_stuff`` when the annotation file decides."""

_LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


def fill_class_counts(cfg: Config, metainfo: Mapping[str, Any] | None = None) -> None:
    """Replace ``'from_data'`` in the head of a config by numbers, in place; else do nothing.

    Args:
        cfg: The config.
        metainfo: ``classes`` and ``num_things`` of the data, for example of a checkpoint; read
            from the data sets of the config when left out.

    Raises:
        FileNotFoundError: If an annotation file is missing.
        UserError: If the data sets of the config have other classes than each other.
    """
    head = (cfg.get('model') or {}).get('head') or {}
    if FROM_DATA not in (head.get('num_things'), head.get('num_stuff')):
        return
    metainfo = metainfo or _common_metainfo(cfg)
    num_things = int(metainfo['num_things'])
    head['num_things'], head['num_stuff'] = num_things, len(metainfo['classes']) - num_things


def check_class_counts(model: object, metainfo: Mapping[str, Any], where: str) -> None:
    """Make sure that a model was built for as many things and as much stuff as its data have.

    Models whose head does not count its classes, and data that do not count theirs, pass.

    Args:
        model: The model; its ``head`` has ``num_things`` and ``num_stuff``.
        metainfo: ``classes`` (things first) and ``num_things`` of the data.
        where: What to call the data in errors, such as ``'train_dataloader'``.

    Raises:
        UserError: If the counts differ.
    """
    head = getattr(model, 'head', None)
    expected = (getattr(head, 'num_things', None), getattr(head, 'num_stuff', None))
    if None in expected or metainfo.get('classes') is None or metainfo.get('num_things') is None:
        return
    num_things = int(metainfo['num_things'])
    got = (num_things, len(metainfo['classes']) - num_things)
    if got != expected:
        raise UserError(
            f'{where}: expected the {expected[0]} things and {expected[1]} stuff classes of '
            f'model.head, got {got[0]} things and {got[1]} stuff; set '
            f'model.head.num_things={got[0]} and model.head.num_stuff={got[1]} (or '
            f'{FROM_DATA!r} for both), or use other data'
        )


def _common_metainfo(cfg: Config) -> Mapping[str, Any]:
    """Classes of the data sets of a config, which must agree."""
    found: dict[str, Mapping[str, Any]] = {}
    seen: list[Any] = []
    for name in _LOADERS:
        loader = cfg.get(name)
        if loader is None or loader['dataset'] in seen:
            continue
        seen.append(loader['dataset'])
        found[name] = DATASETS.build(loader['dataset']).metainfo
    if not found:
        raise UserError(
            f'model.head.num_things={FROM_DATA!r}: expected a data loader in the config to take '
            'the classes from, got none; give the number of classes instead'
        )
    (first, metainfo), *others = found.items()
    for name, other in others:
        if tuple(other['classes']) != tuple(metainfo['classes']):
            raise UserError(
                f'{name}: expected the classes of {first}, {list(metainfo["classes"])}, got '
                f'{list(other["classes"])}; give both annotation files the same categories'
            )
    return metainfo
