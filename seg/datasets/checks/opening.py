"""From the data sets of a config to their checks."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from seg.datasets.bdd100k import ENDINGS, BDD100KDataset, read_class_map
from seg.datasets.checks.coco_checks import (
    CityscapesCheck,
    CocoInstanceCheck,
    CocoPanopticCheck,
)
from seg.datasets.checks.fault import DatasetCheck, Fault, FaultKind
from seg.datasets.checks.file_pairs import folder_check, frame_folders_check, sa1b_check
from seg.datasets.checks.loading_check import LoadingCheck
from seg.datasets.checks.refcoco_check import RefCocoCheck
from seg.datasets.checks.sa1b_checks import ShardCheck
from seg.datasets.checks.youtube_vis_check import YouTubeVISCheck
from seg.datasets.cityscapes import CityscapesDataset
from seg.datasets.clip_dataset import ClipDataset
from seg.datasets.coco_instance import CocoInstanceDataset
from seg.datasets.coco_panoptic import CocoPanopticDataset
from seg.datasets.davis import DavisDataset, read_davis_map
from seg.datasets.folders import FolderDataset, binary_mask
from seg.datasets.frame_folders import read_map_of
from seg.datasets.joint_labels import JointLabels
from seg.datasets.mixed_dataset import MixedDataset
from seg.datasets.refcoco import RefCocoDataset
from seg.datasets.sa1b import SA1BDataset
from seg.datasets.shard_dataset import ShardDataset
from seg.datasets.vipseg import VIPSegDataset, values_of_map
from seg.datasets.youtube_vis import YouTubeVISDataset
from seg.registry import DATASETS
from seg.utils.checks import UserError, unknown_name_message

Settings = Mapping[str, Any]

SPLITS = ('train', 'val', 'test')


def _davis_check(settings: Settings) -> DatasetCheck:
    root, resolution = Path(settings['root']), settings.get('resolution', '480p')
    lists = root / 'ImageSets' / settings.get('year', '2017')
    return frame_folders_check(
        lists / f'{settings["split"]}.txt',
        root / 'JPEGImages' / resolution,
        root / 'Annotations' / resolution,
        read_davis_map,
    )


def _vipseg_check(settings: Settings) -> DatasetCheck:
    def read_map(path: Path, size: tuple[int, int]) -> object:
        return values_of_map(read_map_of(path, size), path)

    root = Path(settings['root'])
    return frame_folders_check(
        root / f'{settings["split"]}.txt', root / 'images', root / 'panomasks', read_map
    )


def _folder_check(settings: Settings) -> DatasetCheck:
    def read_map(path: Path, size: tuple[int, int]) -> object:
        values = read_map_of(path, size)
        return binary_mask(values, path) if settings.get('mask_kind') == 'binary' else values

    root, split = Path(settings['root']), settings['split']
    return folder_check(root / 'images' / split, root / 'masks' / split, read_map)


def _bdd100k_check(settings: Settings) -> DatasetCheck:
    root, split = Path(settings['root']), settings['split']
    labels = settings.get('labels', 'masks')
    return folder_check(
        root / 'images/10k' / split,
        root / 'labels/sem_seg' / labels / split,
        lambda path, size: read_class_map(path, size, labels == 'colormaps'),
        ENDINGS,
    )


def _refcoco_check(settings: Settings) -> DatasetCheck:
    return RefCocoCheck(
        settings['refs_file'],
        settings['ann_file'],
        settings['img_dir'],
        settings['split'],
        settings.get('image_template'),
    )


CHECKS: dict[type, Callable[[Settings], DatasetCheck]] = {
    BDD100KDataset: _bdd100k_check,
    CityscapesDataset: lambda s: CityscapesCheck(s['ann_file'], s['img_dir'], s['seg_dir']),
    CocoInstanceDataset: lambda s: CocoInstanceCheck(s['ann_file'], s['img_dir']),
    CocoPanopticDataset: lambda s: CocoPanopticCheck(s['ann_file'], s['img_dir'], s['seg_dir']),
    DavisDataset: _davis_check,
    FolderDataset: _folder_check,
    RefCocoDataset: _refcoco_check,
    SA1BDataset: lambda s: sa1b_check(Path(s['root'])),
    ShardDataset: lambda s: ShardCheck(s['shards']),
    VIPSegDataset: _vipseg_check,
    YouTubeVISDataset: lambda s: YouTubeVISCheck(s['ann_file'], s['img_dir']),
}
"""Data sets with a check of their own, made of their settings; others are loaded and looked at."""

# Settings that do not change which files there are.
_INDIFFERENT = {
    'type',
    'task',
    'pipeline',
    'classes',
    'filter_empty',
    'min_size',
    'num_frames',
    'frame_interval',
    'test_mode',
    'dataset_name',
    'seed',
    'max_bad_samples',
}


def dataset_settings(cfg: Mapping[str, Any], split: str) -> dict[str, Settings]:
    """Configs of the data sets of a split by name; those of a mixture one by one.

    Args:
        cfg: A config.
        split: One of ``SPLITS``.

    Raises:
        UserError: If the split is unknown, or the config has no loader for it.
    """
    if split not in SPLITS:
        raise UserError(unknown_name_message('split', split, SPLITS))
    loader = cfg.get(f'{split}_dataloader')
    if loader is None:
        raise UserError(
            f'{split}_dataloader: expected a loader in the config, got none; choose another split'
        )
    return dict(_single_data_sets(split, loader['dataset']))


def _single_data_sets(name: str, settings: Settings) -> Iterator[tuple[str, Settings]]:
    kind = dataset_class(settings)
    if kind is MixedDataset:
        for source, one in settings['sources'].items():
            yield from _single_data_sets(f'{name}/{source}', one)
    else:
        yield name, settings


def dataset_class(settings: Settings) -> type:
    """The class that a config of a data set names, as a class or by its name.

    Raises:
        UserError: If there is none of that name.
    """
    kind = settings['type']
    if isinstance(kind, type):
        return kind
    found = DATASETS.get(kind)
    if found is None:
        raise UserError(f'data set {kind!r}: expected a registered class, got an unknown name')
    return found


def open_check(settings: Settings) -> DatasetCheck:
    """The check of one data set.

    Args:
        settings: Its config. The pipeline is not run, and no sample is left out.
    """
    kind = dataset_class(settings)
    if kind is JointLabels:
        return open_check(settings['dataset'])
    if kind in CHECKS:
        return CHECKS[kind](settings)
    chosen = {**settings, 'type': kind, 'pipeline': [], 'max_bad_samples': 0}
    known = inspect.signature(kind).parameters
    if 'test_mode' in known:
        chosen['test_mode'] = True
    try:
        dataset = DATASETS.build({k: v for k, v in chosen.items() if k == 'type' or k in known})
    except (UserError, OSError) as error:
        return LoadingCheck(error)
    if not isinstance(dataset, ClipDataset):
        raise UserError(
            f'data set: expected a ClipDataset, got a {kind.__name__}; derive it from '
            'seg.datasets.ClipDataset'
        )
    return LoadingCheck(dataset)


def all_faults(check: DatasetCheck, settings: Settings) -> list[Fault]:
    """Faults of a data set as a whole; one without samples is one.

    Args:
        check: The check of the data set.
        settings: Its config.
    """
    found = list(check.faults())
    if found or len(check):
        return found
    while 'dataset' in settings:
        settings = settings['dataset']
    places = [settings[key] for key in _PLACES if key in settings]
    message = 'expected samples, got none; check data_root, the paths and the split'
    return [Fault(FaultKind.MISSING_FILE, str(next(iter(places), 'data set')), message)]


_PLACES = ('refs_file', 'ann_file', 'root', 'shards')


def same_files(settings: Settings) -> str:
    """What two data sets over the same files have in common."""
    if dataset_class(settings) is JointLabels:
        return same_files(settings['dataset'])
    relevant = {k: v for k, v in settings.items() if k not in _INDIFFERENT}
    return json.dumps([dataset_class(settings).__name__, relevant], sort_keys=True, default=str)
