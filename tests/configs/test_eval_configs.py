"""Configs that evaluate on data sets: they agree with their data, and score as on Shapes itself."""

from pathlib import Path

import pytest
import torch

from seg.datasets import CityscapesDataset, ShapesDataset
from seg.datasets.converters import WRITERS, write_shapes
from seg.datasets.metainfo import find_label_space
from seg.datasets.transforms import PackClip, TestResize
from seg.engine.config_options import load_config
from seg.evaluation.metrics import InstanceMetric, InteractiveMetric, PanopticMetric
from seg.registry import MODELS
from seg.structures import PanopticData, Segment

FOLDER = Path(__file__).parents[2] / 'configs' / 'rap_sam'
LABEL_SPACES = {
    'coco_instance': 'coco_panoptic',
    'cityscapes': 'cityscapes',
    'vipseg': 'vipseg',
    'refcoco': 'coco_panoptic',
    'refcoco_plus': 'coco_panoptic',
    'refcocog': 'coco_panoptic',
}


def test_every_evaluation_of_a_data_set_is_tested():
    found = {path.stem.removeprefix('eval_rap_sam_') for path in FOLDER.glob('eval_*.py')}
    assert set(LABEL_SPACES) <= found


@pytest.mark.parametrize(('name', 'space'), LABEL_SPACES.items())
def test_the_model_has_the_classes_of_the_data(name, space):
    cfg = load_config(FOLDER / f'eval_rap_sam_{name}.py')
    classes = find_label_space(space)
    head = cfg.model.head
    assert (head.num_things, head.num_stuff) == (classes.num_things, classes.num_stuff)
    assert space in head.classifier.embedding_file
    assert cfg.train_dataloader is None
    assert cfg.test_dataloader == cfg.val_dataloader
    is_text = name.startswith('refcoco')
    metric = {'coco_instance': InstanceMetric}.get(name, PanopticMetric)
    assert cfg.test_evaluator.type is (InteractiveMetric if is_text else metric)
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
    assert ('text' in model.prompt_kinds) == is_text


def test_instances_are_scored_against_the_official_file():
    cfg = load_config(FOLDER / 'eval_rap_sam_coco_instance.py')
    assert cfg.test_evaluator.ann_file == cfg.test_dataloader.dataset.ann_file
    assert cfg.test_dataloader.dataset.test_mode


def test_each_variant_reads_its_own_expressions():
    files = {
        name: load_config(FOLDER / f'eval_rap_sam_{name}.py').test_dataloader.dataset.dataset
        for name in LABEL_SPACES
        if name.startswith('refcoco')
    }
    assert {name: cfg.refs_file for name, cfg in files.items()} == {
        'refcoco': 'data/refcoco/refcoco/refs(unc).p',
        'refcoco_plus': 'data/refcoco/refcoco+/refs(unc).p',
        'refcocog': 'data/refcoco/refcocog/refs(umd).p',
    }
    assert all(cfg.test_mode for cfg in files.values())


def bright_part(packed, num_things):
    """The true segments where the image is bright: a prediction that depends on every pixel."""
    sample = packed['data_samples']
    truth = sample.gt_segments
    numbers = torch.arange(1, len(truth) + 1)[:, None, None, None]
    ids = (truth.masks * numbers).amax(dim=0) * (packed['inputs'][:, 0] > 60)
    segments = [
        Segment(row + 1, label, label < num_things, 1.0)
        for row, label in enumerate(truth.labels.tolist())
        if bool((ids == row + 1).any())
    ]
    sample.pred_panoptic = PanopticData(ids.int(), segments)
    return sample


def score(dataset):
    metric = PanopticMetric()
    metric.dataset_meta = dataset.metainfo
    for index in range(len(dataset)):
        sample = bright_part(dataset[index], dataset.metainfo['num_things'])
        metric.process(None, [sample.to_dict()])
    return metric.evaluate(len(dataset))


def test_files_of_a_data_set_score_as_the_samples_that_were_written(tmp_path):
    """From the real layout of Cityscapes, whose images are PNG files, nothing is lost."""
    list(write_shapes(WRITERS['cityscapes'], tmp_path, 3))
    pipeline = [TestResize(scale=(128, 160)), PackClip()]
    root = tmp_path / 'gtFine'
    written = CityscapesDataset(
        root / 'cityscapes_panoptic_val.json',
        tmp_path / 'leftImg8bit/val',
        root / 'cityscapes_panoptic_val',
        'panoptic',
        pipeline,
        test_mode=True,
    )
    expected = score(ShapesDataset('panoptic', 'val', 3, pipeline=pipeline))
    assert 5 < expected['panoptic/PQ'] < 95
    assert score(written) == pytest.approx(expected, nan_ok=True)
