"""Numbers of classes that a config leaves to its data."""

import json
import types

import pytest
from mmengine.config import Config

from seg.datasets import CocoInstanceDataset
from seg.engine.class_counts import check_class_counts, fill_class_counts
from seg.engine.config_options import load_config
from seg.engine.launch import build_runner
from seg.registry import MODELS
from seg.testing.tiny_rapsam import tiny_rapsam_cfg


def write_annotations(path, names):
    content = dict(
        images=[dict(id=1, file_name='1.png', height=40, width=50)],
        annotations=[
            dict(id=1, image_id=1, category_id=1, segmentation=[[1, 1, 9, 1, 9, 9]], iscrowd=0)
        ],
        categories=[dict(id=i, name=name) for i, name in enumerate(names, start=1)],
    )
    path.write_text(json.dumps(content))
    return path


def loader(ann_file):
    dataset = dict(
        type=CocoInstanceDataset,
        ann_file=str(ann_file),
        img_dir='images',
        task='panoptic',
        pipeline=[],
    )
    return dict(dataset=dataset)


def make_config(**loaders):
    model = tiny_rapsam_cfg()
    model['head'].update(num_things='from_data', num_stuff='from_data')
    return Config(dict(model=model, **loaders))


def counts(cfg):
    return cfg.model.head.num_things, cfg.model.head.num_stuff


def test_classes_of_the_annotation_file_are_counted(tmp_path):
    path = write_annotations(tmp_path / 'a.json', ['bolt', 'nut', 'washer', 'pin'])
    cfg = make_config(train_dataloader=loader(path), val_dataloader=loader(path))
    fill_class_counts(cfg)

    assert counts(cfg) == (4, 0)
    assert MODELS.build(cfg.model).head.classifier.num_classes == 4


def test_a_checkpoint_that_knows_its_classes_needs_no_data():
    cfg = make_config(train_dataloader=loader('nowhere.json'))
    fill_class_counts(cfg, dict(classes=('a', 'b', 'c'), num_things=2))

    assert counts(cfg) == (2, 1)


def test_numbers_in_the_config_stay():
    cfg = Config(dict(model=tiny_rapsam_cfg(), train_dataloader=loader('nowhere.json')))
    fill_class_counts(cfg)

    assert counts(cfg) == (3, 2)


def test_models_without_a_head_are_left_alone():
    fill_class_counts(Config(dict(model=dict(type='ToyModel'))))


def test_files_with_other_classes_are_refused(tmp_path):
    train = write_annotations(tmp_path / 'train.json', ['bolt', 'nut'])
    val = write_annotations(tmp_path / 'val.json', ['nut', 'bolt'])
    cfg = make_config(train_dataloader=loader(train), val_dataloader=loader(val))

    with pytest.raises(ValueError, match=r"val_dataloader: expected the classes .*'bolt', 'nut'"):
        fill_class_counts(cfg)


def test_a_missing_annotation_file_is_named():
    with pytest.raises(FileNotFoundError, match=r'nowhere\.json'):
        fill_class_counts(make_config(train_dataloader=loader('nowhere.json')))


def test_no_data_at_all_is_named():
    with pytest.raises(ValueError, match='data loader'):
        fill_class_counts(make_config())


def test_a_model_whose_counts_were_not_filled_in_says_so():
    with pytest.raises(TypeError, match="num_things: expected a number, got 'from_data'"):
        MODELS.build(make_config().model)


def counting(num_things, num_stuff):
    return types.SimpleNamespace(
        head=types.SimpleNamespace(num_things=num_things, num_stuff=num_stuff)
    )


def test_a_model_with_the_classes_of_its_data_is_fine():
    check_class_counts(counting(1, 1), dict(classes=('a', 'b'), num_things=1), 'data')


@pytest.mark.parametrize('counts', [(20, 40), (3, 3), (2, 0), (0, 2)])
def test_a_model_with_other_counts_than_its_data_is_refused(counts):
    message = rf'data: expected the {counts[0]} things and {counts[1]} stuff .* got 1 things and 1'
    with pytest.raises(ValueError, match=message):
        check_class_counts(counting(*counts), dict(classes=('a', 'b'), num_things=1), 'data')


@pytest.mark.parametrize(
    ('model', 'metainfo'),
    [
        (types.SimpleNamespace(), dict(classes=('a',), num_things=1)),
        (counting(7, 7), dict(classes=('a',))),
        (counting(7, 7), {}),
    ],
)
def test_what_does_not_count_its_classes_passes(model, metainfo):
    check_class_counts(model, metainfo, 'data')


@pytest.mark.parametrize(('run', 'loader'), [('train', 'train'), ('test', 'test')])
def test_nothing_runs_with_other_counts_than_the_data(repository, tmp_path, run, loader):
    path = repository / 'configs/rap_sam/rap_sam_nano_quick_shapes.py'
    cfg = load_config(path, ['model.head.num_things=20', 'visualizer=none'])
    cfg['experiment_name'] = tmp_path.name
    runner = build_runner(cfg, path, tmp_path / 'run')

    message = (
        rf'{loader}_dataloader: expected the 20 things and 3 stuff classes of model\.head, got 8 '
        r'things and 3 stuff; set model\.head\.num_things=8'
    )
    with pytest.raises(ValueError, match=message):
        getattr(runner, run)()
