import json

import numpy as np
import pytest

from seg.datasets.label_space import join_label_spaces
from seg.datasets.metainfo import (
    BDD100K,
    CITYSCAPES,
    COCO_PANOPTIC,
    LABEL_SPACES,
    VIPSEG,
    YOUTUBE_VIS_2019,
    YOUTUBE_VIS_2021,
    find_label_space,
)
from seg.utils.checks import UserError

SHARED_COCO_YTVIS19 = {
    'person', 'skateboard', 'dog', 'cat', 'cow', 'train', 'horse', 'bear', 'giraffe', 'surfboard',
    'airplane', 'truck', 'zebra', 'elephant', 'snowboard', 'boat', 'mouse', 'tennis_racket',
}  # fmt: skip
NEW_IN_YTVIS19 = (
    'giant_panda', 'lizard', 'parrot', 'sedan', 'ape', 'snake', 'monkey', 'hand', 'rabbit', 'duck',
    'fish', 'turtle', 'motorbike', 'leopard', 'fox', 'deer', 'owl', 'tiger', 'shark', 'frog',
    'eagle', 'earless_seal',
)  # fmt: skip
ALL_FIVE = (COCO_PANOPTIC, YOUTUBE_VIS_2019, YOUTUBE_VIS_2021, VIPSEG, CITYSCAPES)


@pytest.mark.parametrize(
    ('space', 'num_things', 'num_stuff'),
    [
        (COCO_PANOPTIC, 80, 53),
        (YOUTUBE_VIS_2019, 40, 0),
        (YOUTUBE_VIS_2021, 40, 0),
        (CITYSCAPES, 8, 11),
        (VIPSEG, 58, 66),
    ],
    ids=lambda value: getattr(value, 'name', None),
)
def test_numbers_of_classes(space, num_things, num_stuff):
    assert (space.num_things, space.num_stuff) == (num_things, num_stuff)
    ids = [info.category_id for info in space.classes]
    assert len(set(ids)) == space.num_classes


@pytest.mark.data
def test_coco_equals_the_data_sets_own_list(shared_dir):
    path = shared_dir / 'fixtures/coco_panoptic/annotations/panoptic_val2017.json'
    categories = json.loads(path.read_text())['categories']
    rows = [(c['id'], c['name'], tuple(c['color'])) for c in categories]
    own = [(info.category_id, info.name, info.color) for info in COCO_PANOPTIC.classes]
    assert own == rows
    assert COCO_PANOPTIC.num_things == sum(c['isthing'] for c in categories)


def test_coco_has_254_synonyms_at_most_17_per_class():
    counts = [len(info.synonyms) for info in COCO_PANOPTIC.classes]
    assert (len(counts), sum(counts), max(counts)) == (133, 254, 17)


def test_coco_words_are_never_thing_and_stuff_at_once():
    assert COCO_PANOPTIC.ambiguous_synonyms == ()


def test_youtube_vis_ids_follow_the_order():
    for space in (YOUTUBE_VIS_2019, YOUTUBE_VIS_2021):
        assert [info.category_id for info in space.classes] == list(range(1, 41))
    assert list(YOUTUBE_VIS_2021.class_names) == sorted(YOUTUBE_VIS_2021.class_names)


def test_vipseg_ids_cover_the_png_values():
    assert sorted(info.category_id for info in VIPSEG.classes) == list(range(1, 125))
    ids = {info.name: info.category_id for info in VIPSEG.classes}
    assert ids['person'] == 61  # the example in the data set's description


@pytest.mark.parametrize(
    ('spaces', 'num_things', 'num_stuff'),
    [
        ((COCO_PANOPTIC, YOUTUBE_VIS_2019), 102, 53),
        ((COCO_PANOPTIC, YOUTUBE_VIS_2021), 100, 53),
        (ALL_FIVE, 139, 101),
    ],
    ids=['coco+yt19', 'coco+yt21', 'all five'],
)
def test_joint_numbers_of_classes(spaces, num_things, num_stuff):
    space = join_label_spaces(spaces).space
    assert (space.num_things, space.num_stuff) == (num_things, num_stuff)


def test_coco_and_youtube_vis_share_eighteen_classes():
    joined = join_label_spaces([COCO_PANOPTIC, YOUTUBE_VIS_2019])
    assert np.array_equal(joined.joint_ids[0], [*range(80), *range(102, 155)])
    ids = dict(zip(YOUTUBE_VIS_2019.class_names, joined.joint_ids[1].tolist(), strict=True))
    assert {name for name, joint in ids.items() if joint < 80} == SHARED_COCO_YTVIS19
    for name in SHARED_COCO_YTVIS19:
        assert joined.space.class_names[ids[name]] == name.replace('_', ' ')
    assert joined.space.class_names[80:102] == NEW_IN_YTVIS19


def test_nine_words_of_the_five_lists_are_things_and_stuff():
    words = join_label_spaces(ALL_FIVE).space.ambiguous_synonyms
    assert words == (
        'book', 'clothes', 'door', 'mirror', 'pillow', 'table', 'tent', 'traffic light', 'window',
    )  # fmt: skip


def test_a_joint_map_is_mapped_like_its_loop():
    joined = join_label_spaces([COCO_PANOPTIC, YOUTUBE_VIS_2019])
    ids = np.random.default_rng(0).integers(0, 133, (23, 31))
    ids[0], ids[1] = 255, 65535
    table = dict(enumerate(joined.joint_ids[0].tolist())) | {255: 255, 65535: 65535}
    assert joined.map_ids('coco_panoptic', ids).tolist() == [
        [table[i] for i in row] for row in ids.tolist()
    ]


def test_label_spaces_are_found_by_name():
    assert find_label_space('cityscapes') is CITYSCAPES
    joint = find_label_space('coco_panoptic+youtube_vis_2019')
    assert (joint.name, joint.num_classes) == ('coco_panoptic+youtube_vis_2019', 155)
    assert set(LABEL_SPACES) == {space.name for space in (*ALL_FIVE, BDD100K)}


def test_an_unknown_label_space_is_an_error():
    with pytest.raises(UserError, match=r"'coco_panoptc'.*Did you mean 'coco_panoptic'"):
        find_label_space('youtube_vis_2019+coco_panoptc')


def test_bdd100k_has_the_classes_of_cityscapes_in_the_order_of_train_ids():
    assert BDD100K.num_things == 0
    assert set(BDD100K.class_names) == set(CITYSCAPES.class_names)
    colors = {info.name: info.color for info in CITYSCAPES.classes}
    assert all(info.color == colors[info.name] for info in BDD100K.classes)
    assert [info.category_id for info in BDD100K.classes] == list(range(19))
    names = [BDD100K.class_names[index] for index in (0, 10, 11, 13, 18)]
    assert names == ['road', 'sky', 'person', 'car', 'bicycle']
