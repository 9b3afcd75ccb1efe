import numpy as np
import pytest
import torch

from seg.datasets import ClipDataset, JointLabels, MixedDataset
from seg.datasets.joint_labels import map_labels
from seg.datasets.label_space import join_label_spaces
from seg.datasets.metainfo import (
    CITYSCAPES,
    COCO_PANOPTIC,
    YOUTUBE_VIS_2019,
    find_label_space,
    label_space_parts,
)
from seg.registry import DATASETS
from seg.utils.checks import UserError

JOINT = 'coco_panoptic+youtube_vis_2019'


@DATASETS.register_module()
class Labelled(ClipDataset):
    """One sample with one segment of every class and one of unknown class."""

    def __init__(self, metainfo, **settings):
        super().__init__('panoptic', [], metainfo, **settings)

    def __len__(self):
        return 2

    def load(self, index):
        return {'labels': torch.tensor([*range(len(self.metainfo['classes'])), -1])}

    def draw(self, index, rng):
        return {**self.load(index), 'drawn': True}


def test_labels_become_those_of_the_joint_list():
    source = Labelled(YOUTUBE_VIS_2019.metainfo(), seed=3, max_bad_samples=2)
    dataset = JointLabels(source, JOINT)
    sample = dataset[0]
    joint = find_label_space(JOINT)
    names = [joint.class_names[label] for label in sample['labels'][:-1].tolist()]
    assert sample['labels'][-1] == -1
    assert sample['drawn']
    assert dataset.load(1)['labels'].tolist() == sample['labels'].tolist()
    for own, name in zip(YOUTUBE_VIS_2019.class_names, names, strict=True):
        assert own == name or own in ('tennis_racket',)
    assert dataset.metainfo['classes'] == joint.class_names
    assert dataset.metainfo['num_things'] == 102
    assert sample['annotated_classes'] == tuple(sorted(set(sample['labels'][:-1].tolist())))
    assert (dataset.seed, dataset.bad_samples.limit, len(dataset)) == (3, 2, 2)


def test_data_sets_of_other_classes_can_be_mixed():
    own = {'classes': ('object',), 'num_things': 1, 'palette': [], 'annotated_classes': ()}
    sources = {
        'vis': {'type': 'Labelled', 'metainfo': YOUTUBE_VIS_2019.metainfo()},
        'vos': {'type': 'Labelled', 'metainfo': own},
    }
    with pytest.raises(ValueError, match='expected one classes in all sources'):
        MixedDataset(sources)
    joint = {
        name: {'type': 'JointLabels', 'dataset': source, 'label_space': JOINT}
        for name, source in sources.items()
    }
    mixed = MixedDataset(joint)
    assert mixed[2]['labels'].tolist() == [-1, -1]
    assert mixed[2]['annotated_classes'] == ()
    assert len(mixed[0]['annotated_classes']) == 40


def test_every_class_of_the_parts_of_a_joint_list_is_found():
    space = find_label_space('cityscapes+youtube_vis_2021')
    parts = label_space_parts(space.name)
    table = map_labels(CITYSCAPES.class_names, CITYSCAPES.num_things, parts)
    np.testing.assert_array_equal(table[:8], np.arange(8))
    assert [space.class_names[label] for label in table] == list(CITYSCAPES.class_names)
    assert len(map_labels((), 0, parts)) == 0
    by_synonym = map_labels(('CAR', 'Rider'), 2, [CITYSCAPES])
    assert [CITYSCAPES.class_names[label] for label in by_synonym] == ['car', 'rider']


def test_names_as_the_data_set_writes_them_are_known_in_every_joint_list():
    """COCO's file says 'door-stuff', which is no synonym of any class."""
    own = COCO_PANOPTIC
    for name in ('coco_panoptic', JOINT, 'cityscapes+vipseg+coco_panoptic'):
        space = find_label_space(name)
        table = map_labels(own.class_names, own.num_things, label_space_parts(name))
        joined = join_label_spaces(label_space_parts(name))
        expected = joined.joint_ids[name.split('+').index('coco_panoptic')]
        assert table.tolist() == expected.tolist()
        assert max(table[:80]) < space.num_things <= min(table[80:])


def test_classes_that_are_not_there_are_named():
    with pytest.raises(UserError, match=r"label space 'cityscapes': .*for \['giant_panda'"):
        JointLabels(Labelled(YOUTUBE_VIS_2019.metainfo()), 'cityscapes')


def test_unknown_label_spaces_and_data_sets():
    with pytest.raises(UserError, match="unknown label space 'cocoo'"):
        JointLabels(Labelled(YOUTUBE_VIS_2019.metainfo()), 'cocoo')
    with pytest.raises(TypeError, match='expected a ClipDataset, got a int'):
        JointLabels(3, JOINT)
