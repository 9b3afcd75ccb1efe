import numpy as np
import pytest
from PIL import Image

from seg.datasets import CocoInstanceDataset, CocoPanopticDataset, ShapesDataset
from seg.datasets.checks import FaultKind, open_check, walk


def check_of(toy):
    if 'segments_info' in toy.content['annotations'][0]:
        settings = dict(type=CocoPanopticDataset, seg_dir=toy.seg_dir)
    else:
        settings = dict(type='CocoInstanceDataset')
    return open_check(dict(**settings, ann_file=toy.ann_file, img_dir=toy.img_dir, task='panoptic'))


def all_faults(toy):
    check = check_of(toy.write())
    found = list(check.faults())
    for _, faults in walk({'toy': check}, num_workers=0):
        found += faults
    return found


def named(fault, toy):
    return fault.kind, fault.file.removeprefix(f'{toy.root}/')


def test_whole_data_sets_have_no_faults(panoptic):
    assert all_faults(panoptic) == []


def test_whole_instances_have_no_faults(instances):
    assert all_faults(instances) == []


def damage_panoptic(toy):
    """One fault of every sort that a panoptic data set can have, most of them at once."""
    (toy.img_dir / '1.png').unlink()
    toy.truncate(toy.img_dir / '2.png')
    toy.truncate(toy.seg_dir / '1.png')
    Image.fromarray(np.zeros((12, 21, 3), np.uint8)).save(toy.img_dir / '3.png')
    ids = toy.id_map(3)
    ids[8:, 8:], ids[:3, :4] = 77, 3
    toy.write_map(3, ids)
    toy.content['annotations'][3]['segments_info'] += [
        {'id': 4, 'category_id': 30},
        {'id': 304, 'category_id': 99},
        {'id': 5},
    ]
    toy.content['categories'].append({'id': 7, 'name': 'dog', 'isthing': 1})
    toy.content['annotations'].append({'image_id': 8, 'file_name': '8.png', 'segments_info': []})
    toy.content['annotations'].append({'image_id': 8})


def test_every_fault_of_a_panoptic_data_set_is_found(panoptic):
    damage_panoptic(panoptic)
    faults = [named(fault, panoptic) for fault in all_faults(panoptic)]
    assert sorted(faults) == sorted(
        [
            (FaultKind.MISSING_FILE, 'images/1.png'),
            (FaultKind.BROKEN_FILE, 'maps/1.png'),
            (FaultKind.BROKEN_FILE, 'images/2.png'),
            (FaultKind.SIZE_MISMATCH, 'images/3.png'),
            (FaultKind.UNLISTED_ID, 'maps/3.png'),
            (FaultKind.EMPTY_MASK, 'maps/3.png'),
            (FaultKind.EMPTY_MASK, 'maps/4.png'),
            (FaultKind.DUPLICATE_ID, 'ann.json'),
            (FaultKind.DUPLICATE_ID, 'ann.json'),
            (FaultKind.DUPLICATE_ID, 'ann.json'),
            (FaultKind.WRONG_CATEGORY, 'ann.json'),
            *[(FaultKind.BAD_ANNOTATION, 'ann.json')] * 4,
        ]
    )


def test_every_fault_of_instances_is_found(instances):
    rows = instances.content['annotations']
    empty = {'size': [12, 20], 'counts': [240]}
    rows += [
        {**rows[0], 'id': 12},
        {**rows[0], 'id': 20, 'category_id': 99},
        {**rows[0], 'id': 21, 'image_id': 99},
        {**rows[0], 'id': 22, 'segmentation': [[1, 2]]},
        {**rows[0], 'id': 23, 'segmentation': {'size': [12, 21], 'counts': [252]}},
        {**rows[0], 'id': 24, 'segmentation': empty},
        {'id': 25},
        'text',
    ]
    instances.content['images'].append(dict(instances.content['images'][0]))
    (instances.img_dir / '4.png').write_bytes(b'')
    faults = all_faults(instances)
    assert sorted(named(fault, instances) for fault in faults) == sorted(
        [
            (FaultKind.DUPLICATE_ID, 'ann.json'),
            (FaultKind.DUPLICATE_ID, 'ann.json'),
            (FaultKind.WRONG_CATEGORY, 'ann.json'),
            *[(FaultKind.BAD_ANNOTATION, 'ann.json')] * 7,
            (FaultKind.EMPTY_MASK, 'ann.json'),
            (FaultKind.BROKEN_FILE, 'images/4.png'),
        ]
    )
    assert any('annotation 24 of image 1' in fault.message for fault in faults)


@pytest.mark.parametrize('text', ['', '{"images"', '[]', '{"images": []}', '{"images": 5}'])
def test_unusable_annotation_files_are_one_fault(panoptic, text):
    panoptic.ann_file.write_text(text)
    check = check_of(panoptic)
    assert [fault.file for fault in check.faults()] == [str(panoptic.ann_file)]
    assert len(check) == 0


def test_a_missing_annotation_file_is_a_fault(instances):
    instances.ann_file.unlink()
    [fault] = check_of(instances).faults()
    assert fault.kind is FaultKind.MISSING_FILE
    assert fault.file == str(instances.ann_file)


def test_workers_find_what_one_process_finds(panoptic):
    damage_panoptic(panoptic)
    checks = {'toy': check_of(panoptic.write()), 'shapes': shapes_check()}
    assert list(walk(checks, 2)) == list(walk(checks, 0))


def shapes_check(**settings):
    return open_check(dict(type=ShapesDataset, task='panoptic', num_samples=3, **settings))


def test_other_data_sets_are_loaded_and_looked_at(monkeypatch):
    check = shapes_check(pipeline=[dict(type='NoSuchTransform')])
    assert [faults for _, faults in walk({'shapes': check}, 0)] == [[], [], []]
    sample = check.dataset.load(0)
    del sample['expressions']
    sample['masks'][0] = False
    sample['labels'][1] = 11
    sample['object_ids'][2] = sample['object_ids'][1]
    monkeypatch.setattr(check.dataset, 'load', lambda index: sample)
    kinds = [fault.kind for fault in check.part_faults(0)]
    assert kinds == [FaultKind.DUPLICATE_ID, FaultKind.EMPTY_MASK, FaultKind.WRONG_CATEGORY]


def test_what_a_reader_refuses_is_a_fault(panoptic):
    """Readers without a check of their own name file and sort of fault, too."""

    class Reader(CocoPanopticDataset):
        pass

    settings = dict(
        type=Reader,
        ann_file=panoptic.ann_file,
        img_dir=panoptic.img_dir,
        seg_dir=panoptic.seg_dir,
        task='panoptic',
    )
    damage_panoptic(panoptic)
    panoptic.content['annotations'] = panoptic.content['annotations'][:3]
    panoptic.content['categories'].pop()
    panoptic.write()
    found = [faults for _, faults in walk({'toy': open_check(settings)}, 0)]
    assert [named(fault, panoptic) for [fault] in found] == [
        (FaultKind.MISSING_FILE, 'images/1.png'),
        (FaultKind.BROKEN_FILE, 'images/2.png'),
        (FaultKind.SIZE_MISMATCH, 'images/3.png'),
    ]


def test_a_data_set_that_does_not_open_is_one_fault(tmp_path):
    class Reader(CocoInstanceDataset):
        pass

    settings = dict(type=Reader, ann_file=tmp_path / 'no.json', img_dir='', task='panoptic')
    check = open_check(settings)
    assert [fault.kind for fault in check.faults()] == [FaultKind.MISSING_FILE]
    assert len(check) == 0
