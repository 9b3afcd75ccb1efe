"""Configs that evaluate one task each: they build, and their metrics take their data."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData
from pycocotools import mask as rle

from seg.datasets.converters import WRITERS, write_shapes
from seg.datasets.metainfo import find_label_space
from seg.engine.config_options import load_config
from seg.registry import DATASETS, METRICS, MODELS
from seg.structures import PanopticData, Segment, TrackData, Tube

FOLDER = Path(__file__).parents[2] / 'configs'
# Of each config: layout of its data, classes of its model, a score that is 100 for the truth.
CONFIGS = {
    'coco': ('coco_panoptic', 'coco_panoptic', 'panoptic/PQ'),
    'prompt': ('coco_panoptic', 'coco_panoptic', 'interactive/mIoU@1'),
    'text': ('refcoco', 'coco_panoptic', 'interactive/text_gIoU'),
    'vos': ('davis', 'coco_panoptic', 'davis/J&F'),
    'yt19': ('youtube_vis', 'youtube_vis_2019', 'youtube_vis/AP'),
    'yt21': ('youtube_vis_2021', 'youtube_vis_2021', 'youtube_vis/AP'),
    'video_panoptic': ('vipseg', 'vipseg', 'vpq/VPQ'),
}
TASKS = {'prompt': 'interactive_image', 'text': 'interactive_image', 'vos': 'vos'}


@pytest.fixture(scope='module')
def layout(tmp_path_factory):
    folders = {}

    def write(name):
        if name not in folders:
            folders[name] = tmp_path_factory.mktemp(name)
            list(write_shapes(WRITERS[name], folders[name], 1, num_frames=5, size=(48, 64)))
        return folders[name]

    return write


def load(name):
    return load_config(FOLDER / 'rap_sam' / f'eval_rap_sam_{name}.py')


def moved(value, paths):
    """A config whose paths begin elsewhere."""
    if isinstance(value, dict):
        return {key: moved(item, paths) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [moved(item, paths) for item in value]
    for old, new in paths.items():
        if isinstance(value, str) and value.startswith(old):
            return value.replace(old, new, 1)
    return value


def build_data(cfg, root):
    """The test data of a config over the files in a folder; of wrappers, what they wrap."""
    node = cfg.test_dataloader['dataset'].to_dict()
    node = node.get('dataset', node)
    images = cfg.get('image_root', cfg.data_root)
    return DATASETS.build(moved(node, {images: f'{root}/train2014', cfg.data_root: f'{root}/'}))


def answer(sample, shift):
    """Write the truth, moved to the right, as prediction of every kind."""
    truth = sample.gt_segments
    masks = truth.masks.roll(shift, dims=-1)
    ids = truth.object_ids
    numbers = torch.arange(1, len(truth) + 1)[:, None, None, None]
    segment_map = (masks * numbers).amax(dim=0).int()
    labels = truth.labels.tolist()
    sample.pred_panoptic = PanopticData(
        segment_map, [Segment(i, label, True, 1.0) for i, label in enumerate(labels, 1)]
    )
    id_maps = (masks * ids[:, None, None, None]).amax(dim=0).int()
    sample.pred_tracks = TrackData(id_maps, tuple(ids.tolist()))
    sample.pred_tubes = [
        Tube(label, 0.9, tuple(encode(frame) for frame in rows.numpy()))
        for label, rows in zip(labels, masks, strict=True)
        if label >= 0  # objects of DAVIS have no class
    ]
    if 'prompts' in sample:
        rows = sample.prompt_targets
        sample.pred_prompted = InstanceData(
            object_ids=ids[rows],
            masks=masks[rows][:, None],
            iou_scores=torch.ones(len(rows), 1),
            prompt_kind=list(sample.get('prompt_kinds') or ['click'] * len(rows)),
        )
    return sample.to_dict()


def encode(mask):
    return rle.encode(np.asfortranarray(mask.astype(np.uint8))) if mask.any() else None


def evaluate(evaluators, dataset, shift):
    scores = {}
    for node in evaluators if isinstance(evaluators, list) else [evaluators]:
        metric = METRICS.build(node)
        metric.dataset_meta = dataset.metainfo
        for index in range(len(dataset)):
            metric.process(None, [answer(dataset[index]['data_samples'], shift)])
        scores |= metric.evaluate(len(dataset))
    return scores


@pytest.mark.parametrize('name', CONFIGS)
def test_the_model_has_the_classes_of_the_data(name):
    cfg = load(name)
    classes = find_label_space(CONFIGS[name][1])
    head = cfg.model.head
    assert (head.num_things, head.num_stuff) == (classes.num_things, classes.num_stuff)
    assert CONFIGS[name][1] in head.classifier.embedding_file
    assert cfg.train_dataloader is None
    assert cfg.test_dataloader == cfg.val_dataloader
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
    assert ('text' in model.prompt_kinds) == (name == 'text')


@pytest.mark.parametrize('name', CONFIGS)
def test_metrics_take_the_data_in_its_real_layout(name, layout):
    kind, _, key = CONFIGS[name]
    cfg = load(name)
    dataset = build_data(cfg, layout(kind))
    assert dataset.test_mode
    assert dataset.task == TASKS.get(name, 'panoptic')
    evaluators = cfg.test_evaluator
    if name.startswith('yt'):
        assert evaluators.format_only
        assert evaluators.outfile_prefix.endswith(f'youtube_vis_20{name[2:]}')
        evaluators = {'type': evaluators.type}
    right = evaluate(evaluators, dataset, 0)
    wrong = evaluate(evaluators, dataset, 5)
    assert right[key] == pytest.approx(100)
    assert wrong[key] < 90
    if name == 'video_panoptic':
        assert right['stq/STQ'] == pytest.approx(100)
        assert wrong['vpq/VPQ@6'] < 90


def test_objects_of_davis_are_given_by_their_first_masks(layout):
    sample = build_data(load('vos'), layout('davis'))[0]['data_samples']
    assert sample.prompts.has_mask.all()
    for row, target in enumerate(sample.prompt_targets.tolist()):
        seen = sample.gt_segments.masks[target].any(dim=(1, 2)).tolist()
        assert sample.prompts.frame_index[row] == seen.index(True)


def test_clips_of_shapes_for_evaluation():
    cfg = load_config(FOLDER / '_base_' / 'datasets' / 'shapes_clips.py')
    node = cfg.val_dataloader['dataset'].to_dict()
    assert (node['num_frames'], node['split'], node['task']) == (48, 'val', 'vos')
    dataset = DATASETS.build({**node, 'num_frames': 6, 'num_samples': 1, 'size': (48, 64)})
    assert evaluate(cfg.val_evaluator, dataset, 0)['davis/J&F'] == 100
    assert cfg.shapes_events['event'] == 'any'
    settings = {'event': 'occlusion', 'num_samples': 1, 'size': (48, 64)}
    events = DATASETS.build({**cfg.shapes_events.to_dict(), **settings})
    assert events.num_frames == 48
    scores = evaluate(cfg.events_evaluator, events, 0)
    assert scores['identity/survival'] == 100
    assert scores['identity/num_cases'] >= 1
