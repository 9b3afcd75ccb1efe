"""Wrong kinds of values in annotation files are errors with file and field, never others."""

import copy
import itertools
import json
import random

import pytest

from seg.datasets.checks import open_check
from seg.datasets.json_fields import (
    BOX,
    COLOR,
    FLAG,
    IDENTITY,
    INTEGER,
    SIDE,
    TEXT,
    TEXTS,
    check_fields,
    entries_by_id,
    field_faults,
)
from seg.registry import DATASETS
from seg.utils.checks import UserError

NONSENSE = (None, 'x', '', -1, 0, 1e30, 1.5, float('nan'), True, [], {}, [1], {'a': 1}, 10**30)


@pytest.mark.parametrize(
    ('kind', 'good', 'bad'),
    [
        (INTEGER, [0, -5, 3.0, 2**62], [True, 1.5, '1', None, float('nan'), 1e30, 10**30]),
        (SIDE, [1, 480, 64.0], [0, -1, True, 2**31, 'x', [3]]),
        (IDENTITY, [7, 'aachen_1'], [None, True, [1], {}, 1.5]),
        (TEXT, ['a.jpg'], ['', None, 5, 'a\0b', ['a']]),
        (TEXTS, [[], ['a', 'b']], ['ab', None, [1], ['']]),
        (FLAG, [0, 1, True, 1.0], [2, -1, None, '1', [], float('nan')]),
        (BOX, [None, [1, 2.5, 3, 0]], [[], [1, 2, 3], [1, 2, 3, 'x'], [1, 2, 3, None], 5, 'box']),
        (COLOR, [None, [0, 128, 255]], [[1, 2], [1, 2, 256], 'red', 5, [1, 2, None]]),
    ],
)
def test_kinds_accept_what_they_say(kind, good, bad):
    assert [value for value in good if not kind.accepts(value)] == []
    assert [value for value in bad if kind.accepts(value)] == []


def test_faults_name_the_field_and_the_value():
    fields = {'id': IDENTITY, 'height': SIDE}
    faults = list(field_faults({'id': [1], 'iscrowd': 2}, fields, 'images[3]', {'iscrowd': FLAG}))
    assert faults == [
        "expected an integer or a text in the field 'id' of images[3], got [1]",
        "expected the field 'height' in images[3], got the fields ['id', 'iscrowd']",
        "expected 0 or 1 in the field 'iscrowd' of images[3], got 2",
    ]
    assert list(field_faults(7, fields, 'images[3]')) == ['expected an object in images[3], got 7']


def test_long_values_are_cut():
    with pytest.raises(UserError, match=r"^file\.json: .* 'id' of there, got '9{59}\.\.\.; mend"):
        check_fields({'id': '9' * 500}, {'id': INTEGER}, 'file.json', 'there')


def test_an_id_that_occurs_twice_is_an_error(tmp_path):
    rows = [{'id': 1}, {'id': 2}, {'id': 1}]
    with pytest.raises(UserError, match=r"a\.json: expected every id in 'images' once, got 1 more"):
        entries_by_id(rows, {'id': IDENTITY}, tmp_path / 'a.json', 'image', 'images')


def layout(name, root):
    """Annotation file and settings of a layout of Shapes."""
    things = dict(task='panoptic', pipeline=[])
    if name == 'sa1b':
        ann_file = root / 'train/sa_000000/sa_1.json'
        return ann_file, dict(type='SA1BDataset', root=root / 'train', **things)
    if name == 'youtube_vis':
        settings = dict(type='YouTubeVISDataset', img_dir=root / 'train/JPEGImages')
        ann_file = root / 'train.json'
    elif name == 'refcoco':
        settings = dict(type='RefCocoDataset', img_dir=root / 'train2014', split='train')
        settings['refs_file'] = root / 'refs(unc).p'
        ann_file = root / 'instances.json'
    else:
        folder = root / 'annotations'
        kind = {'coco_panoptic': 'panoptic', 'coco_instance': 'instances'}[name]
        ann_file = folder / f'{kind}_train2017.json'
        settings = dict(type='CocoInstanceDataset', img_dir=root / 'train2017')
        if kind == 'panoptic':
            settings.update(type='CocoPanopticDataset', seg_dir=folder / 'panoptic_train2017')
    return ann_file, dict(settings, ann_file=ann_file, **things)


def places(node, path=()):
    """Paths to all values of a JSON text; of a list to the first one."""
    yield path
    if isinstance(node, dict):
        entries = node.items()
    else:
        entries = enumerate(node[:1]) if isinstance(node, list) else ()
    for key, value in entries:
        yield from places(value, (*path, key))


def with_value(content, path, value):
    changed = copy.deepcopy(content)
    node = changed
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    return changed


@pytest.mark.parametrize(
    'name', ['coco_panoptic', 'coco_instance', 'youtube_vis', 'refcoco', 'sa1b']
)
def test_nonsense_in_any_field_is_a_named_error(small, name):
    ann_file, settings = layout(name, small(name))
    content = json.loads(ann_file.read_bytes())
    cases = list(itertools.product([path for path in places(content) if path], NONSENSE))
    num_errors = 0
    for path, value in random.Random(0).sample(cases, 60):
        ann_file.write_text(json.dumps(with_value(content, path, value)))
        try:
            dataset = DATASETS.build(settings)
            for row in range(len(dataset)):
                dataset.load(row)
        except UserError as error:  # any other exception fails the test
            num_errors += 1
            assert ann_file.name in str(error), (path, value)
            assert '\n' not in str(error), (path, value)
            is_fault = True
        else:
            is_fault = False
        check = open_check(settings)
        faults = [
            *check.faults(),
            *(f for part in range(len(check)) for f in check.part_faults(part)),
        ]
        assert faults or not is_fault, (path, value)
    assert num_errors > 15
