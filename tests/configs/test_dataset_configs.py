"""Every config of a data set reads Shapes in the layout of that data set, after its pipelines."""

from pathlib import Path

import pytest
from mmengine.config import Config

from seg.datasets import ClipDataset
from seg.datasets.converters import WRITERS, write_shapes
from seg.datasets.shards import find_pairs, write_shards
from seg.engine.config_check import check_config
from seg.registry import DATASETS, METRICS
from seg.structures import Task

FOLDER = Path(__file__).parents[2] / 'configs' / '_base_' / 'datasets'
# Of each config: layout, task, frames of a training clip.
CONFIGS = {
    'coco_panoptic': ('coco_panoptic', 'panoptic', 2),
    'coco_interactive': ('coco_panoptic', 'interactive_image', 1),
    'coco_instance_2017': ('coco_instance', 'panoptic', 1),
    'youtube_vis_2019': ('youtube_vis', 'panoptic', 2),
    'youtube_vis_2021': ('youtube_vis_2021', 'panoptic', 2),
    'davis': ('davis', 'vos', 2),
    'vipseg': ('vipseg', 'panoptic', 2),
    'cityscapes': ('cityscapes', 'panoptic', 1),
    'refcoco': ('refcoco', 'interactive_image', 1),
    'refcoco_plus': ('refcoco', 'interactive_image', 1),
    'refcocog': ('refcoco', 'interactive_image', 1),
    'sa1b': ('sa1b', 'interactive_image', 1),
    'shards': ('sa1b', 'interactive_image', 1),
    'bdd100k': ('bdd100k', 'panoptic', 1),
    'folders': ('folders', 'interactive_image', 1),
}


@pytest.fixture(scope='module')
def layout(tmp_path_factory):
    folders = {}

    def write(name):
        if name not in folders:
            folders[name] = root = tmp_path_factory.mktemp(name)
            list(write_shapes(WRITERS[name], root, 1, num_frames=3, size=(48, 64)))
            if name == 'sa1b':
                for split in ('train', 'val'):
                    list(write_shards(find_pairs(root / split), root / split))
            if name == 'refcoco':
                (root / 'refs(umd).p').symlink_to(root / 'refs(unc).p')
        return folders[name]

    return write


def load(name, root):
    cfg = Config.fromfile(FOLDER / f'{name}.py', format_python_code=False)
    check_config(cfg)
    paths = {cfg.data_root: f'{root}/', cfg.get('image_root'): f'{root}/train2014'}

    def replace(value):
        if isinstance(value, dict):
            return {key: replace(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [replace(item) for item in value]
        for old, new in paths.items():
            if isinstance(value, str) and old is not None and value.startswith(old):
                return new + value[len(old) :]
        return value

    return cfg, replace


@pytest.mark.parametrize('name', CONFIGS)
def test_a_data_set_is_read_through_its_pipelines(layout, name):
    kind, task, num_frames = CONFIGS[name]
    cfg, replace = load(name, layout(kind))
    train = DATASETS.build(replace(cfg.train_dataloader['dataset'].to_dict()))
    val = DATASETS.build(replace(cfg.val_dataloader['dataset'].to_dict()))
    for dataset in (train, val):
        assert isinstance(dataset, ClipDataset)
        assert dataset.task is Task.parse(task)
        assert len(dataset.metainfo['classes']) == len(dataset.metainfo['palette'])
        assert dataset.metainfo['dataset_name']
    packed, whole = train[0], val[0]
    sample, truth = packed['data_samples'], whole['data_samples']
    assert packed['inputs'].shape[:2] == (num_frames, 3)
    assert (
        sample.gt_segments.masks.shape[1:]
        == packed['inputs'].shape[::2][:1] + packed['inputs'].shape[2:]
    )
    assert max(packed['inputs'].shape[-2:]) <= 1280
    assert truth.gt_segments.masks.shape[-2:] == (48, 64)  # at the original size
    assert len(truth.gt_segments) > 0
    if task == 'interactive_image':
        assert len(truth.prompts) > 0
    assert not train.test_mode
    assert val.test_mode
    if 'val_evaluator' in cfg:
        METRICS.build(cfg.val_evaluator)


@pytest.mark.parametrize('name', sorted(CONFIGS))
def test_evaluation_and_training_read_other_splits(name):
    cfg = Config.fromfile(FOLDER / f'{name}.py', format_python_code=False)
    train, val = (cfg[f'{part}_dataloader']['dataset'].to_dict() for part in ('train', 'val'))
    keys = ('split', 'ann_file', 'root', 'shards')
    assert [train.get(key) for key in keys] != [val.get(key) for key in keys]


def test_joint_training_leaves_out_what_expressions_are_scored_on():
    cfg = Config.fromfile(FOLDER / 'coco_refcoco.py', format_python_code=False)
    check_config(cfg)
    scored = [
        Config.fromfile(FOLDER / f'{name}.py', format_python_code=False).refcoco_val.refs_file
        for name in ('refcoco', 'refcoco_plus', 'refcocog')
    ]
    sources = cfg.train_dataloader['dataset'].sources
    assert sources.panoptic.dataset.held_out_refs == scored
    assert sources.clicks.dataset.held_out_refs == scored
    assert sources.expressions.dataset.held_out_refs == scored
    assert sources.expressions.dataset.split == 'train'
    assert len(set(scored)) == 3
