import itertools

import numpy as np
import pytest
import torch

from seg.datasets.shapes import ShapesWorld
from seg.datasets.shapes.frame_choice import FrameChoice
from seg.datasets.shapes.sample import find_occlusions
from seg.datasets.shapes_dataset import ShapesColorsDataset, ShapesDataset
from seg.registry import DATASETS, TRANSFORMS
from seg.structures import Task


@TRANSFORMS.register_module()
class MarkShapesResults:
    """Adds a mark to the results, to see that the pipeline runs."""

    def __init__(self, mark: str) -> None:
        self.mark = mark

    def __call__(self, results):
        return {**results, 'mark': self.mark}


def test_results_follow_the_contract():
    dataset = ShapesDataset(task='panoptic', num_samples=3, num_frames=2, size=(64, 80))
    results = dataset[1]
    num = len(results['labels'])
    assert results['clip'].shape == (2, 3, 64, 80) and results['clip'].dtype == torch.uint8
    assert results['masks'].shape == (num, 2, 64, 80) and results['masks'].dtype == torch.bool
    assert results['labels'].dtype == results['object_ids'].dtype == torch.int64
    assert results['is_crowd'].dtype == torch.bool and not results['is_crowd'].any()
    assert results['task'] is Task.PANOPTIC
    assert results['ori_shape'] == results['img_shape'] == (64, 80)
    assert results['scale_factor'] == (1.0, 1.0)
    assert results['dataset_name'] == 'shapes-v1'
    assert len(results['expressions']) == num
    assert results['img_id'] == 1


def test_masks_tile_every_frame():
    masks = ShapesDataset(task='vos', num_samples=1, num_frames=3)[0]['masks']
    assert (masks.sum(dim=0) == 1).all()


def test_clip_is_the_picture_of_the_world():
    dataset = ShapesDataset(task='panoptic', num_samples=5)
    sample = dataset.world.image(4)
    assert (dataset[4]['clip'].numpy().transpose(0, 2, 3, 1) == sample.clip).all()
    assert (dataset[4]['masks'][0].numpy() == (sample.segment_map == 1)).all()


def test_metainfo_names_things_first():
    metainfo = ShapesDataset(task='panoptic').metainfo
    assert len(metainfo['classes']) == len(metainfo['palette']) == 11
    assert metainfo['num_things'] == 8
    assert metainfo['classes'][8:] == ('stripes', 'dots', 'clouds')


def test_splits_never_share_a_seed():
    seeds = {
        split: {ShapesDataset(task='panoptic', split=split, seed=s).world.seed for s in range(50)}
        for split in ('train', 'val')
    }
    assert len(seeds['train']) == len(seeds['val']) == 50
    assert not seeds['train'] & seeds['val']


def test_pipeline_is_built_from_the_registry():
    pipeline = [{'type': 'MarkShapesResults', 'mark': 'seen'}]
    dataset = ShapesDataset(task='panoptic', num_samples=1, pipeline=pipeline)
    assert dataset[0]['mark'] == 'seen'


def test_it_builds_from_its_name():
    dataset = DATASETS.build({'type': 'ShapesDataset', 'task': 'interactive_image'})
    assert dataset.task is Task.INTERACTIVE_IMAGE
    assert len(dataset) == 1000


def test_the_cache_gives_the_same_fresh_tensors(monkeypatch):
    dataset = ShapesDataset(task='panoptic', num_samples=2, cache=True)
    first = dataset[0]
    kept = first['clip'].clone()
    first['clip'].zero_()
    monkeypatch.setattr(dataset.world, 'clip', None)  # nothing is drawn again
    again = dataset[0]
    assert (again['clip'] == kept).all()
    assert (again['masks'] == first['masks']).all()


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'split': 'test'}, "unknown split of Shapes 'test': expected one of train, val"),
        ({'task': 'panoptik'}, "unknown task 'panoptik'.* Did you mean 'panoptic'"),
        ({'num_samples': 0}, 'num_samples: expected an integer >= 1, got 0'),
        ({'num_frames': 0}, 'num_frames: expected an integer >= 1, got 0'),
        ({'seed': -2}, 'seed: expected an integer >= 0, got -2'),
        ({'size': (32, 32)}, 'size: expected'),
        ({'version': 'v9'}, "unknown version of Shapes 'v9'"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        ShapesDataset(**{'task': 'panoptic', **arguments})


@pytest.mark.parametrize('index', [-1, 4])
def test_an_index_out_of_range_is_named(index):
    with pytest.raises(IndexError, match='expected an index below 4'):
        ShapesDataset(task='panoptic', num_samples=4)[index]


def test_frames_with_gaps_are_those_of_a_longer_clip():
    settings = dict(task='vos', split='train', num_samples=4, size=(64, 80))
    gapped = ShapesDataset(num_frames=3, frame_gaps=(2, 4), **settings)[1]
    whole = ShapesDataset(num_frames=9, **settings)[1]
    frames = [
        next(t for t in range(9) if torch.equal(whole['clip'][t], frame))
        for frame in gapped['clip']
    ]

    assert frames[0] == 0
    assert all(2 <= b - a <= 4 for a, b in itertools.pairwise(frames))
    assert torch.equal(gapped['masks'], whole['masks'][:, frames])


def test_frames_around_an_occlusion_show_a_thing_before_hidden_and_after():
    returning = 0
    settings = dict(task='vos', num_samples=8, num_frames=6, frame_gaps=(1, 9), size=(64, 80))
    for sample in ShapesDataset(occlusion_prob=1.0, **settings):
        areas = sample['masks'].flatten(2).sum(dim=2)
        hidden = (areas == 0) & (areas[:, :1] >= 40)
        last_hidden = hidden.long().cumsum(dim=1).argmax(dim=1)
        later = areas > 0
        later &= torch.arange(6) > last_hidden[:, None]
        returning += bool((hidden.any(dim=1) & later.any(dim=1)).any())
    assert returning >= 7


def test_clips_without_an_occlusion_have_frames_with_gaps():
    clip = ShapesWorld(event_share=0.0).annotations(1, 19)
    choice = FrameChoice(np.random.default_rng(0), 3, (2, 9), occlusion_prob=1.0)

    assert not find_occlusions(clip.visible_areas, clip.inside_areas)
    frames = choice(clip)
    assert frames[0] == 0
    assert all(2 <= b - a <= 9 for a, b in itertools.pairwise(frames))


@pytest.mark.parametrize(
    'settings', [dict(occlusion_prob=0.5), dict(occlusion_prob=1.5, frame_gaps=(1, 2))]
)
def test_impossible_shares_of_occlusions_are_refused(settings):
    with pytest.raises(ValueError, match='occlusion_prob: expected a number in'):
        ShapesDataset(task='vos', num_frames=3, **settings)


@pytest.mark.parametrize('settings', [dict(frame_gaps=(0, 2)), dict(frame_gaps=(3, 2))])
def test_impossible_gaps_are_refused(settings):
    with pytest.raises(ValueError, match='frame_gaps'):
        ShapesDataset(task='vos', num_frames=3, **settings)


@pytest.mark.parametrize('num_frames', [2, 3])
def test_clips_too_short_to_hide_a_thing_are_refused(num_frames):
    with pytest.raises(ValueError, match='out of clips of 24 or more'):
        ShapesDataset('vos', num_frames=num_frames, frame_gaps=(1, 9), occlusion_prob=0.5)


def test_a_share_of_events_out_of_range_is_refused():
    with pytest.raises(ValueError, match='event_share: expected a number in'):
        ShapesWorld(event_share=1.5)


def test_colours_as_classes():
    named, coloured = (
        kind('panoptic', num_samples=2) for kind in (ShapesDataset, ShapesColorsDataset)
    )
    sample, names = coloured.world.image(1), coloured.metainfo['classes']

    assert [names[label] for label in coloured[1]['labels']] == list(sample.colors)
    assert torch.equal(named[1]['masks'], coloured[1]['masks'])
    assert len(coloured.metainfo['palette']) == coloured.metainfo['num_things'] == len(names) == 10
