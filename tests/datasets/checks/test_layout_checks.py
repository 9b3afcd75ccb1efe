"""Shapes in every layout has no fault; every damage to a file is found with its name."""

import json
import pickle

import numpy as np
import pytest
from PIL import Image

from seg.datasets.checks import FaultKind, all_faults, open_check, walk
from seg.datasets.converters import WRITERS, write_shapes
from seg.datasets.shards import find_pairs, write_shards


def settings_of(layout, root):
    coco = dict(ann_file=root / 'annotations/panoptic_train2017.json', img_dir=root / 'train2017')
    videos = dict(type='YouTubeVISDataset', img_dir=root / 'train/JPEGImages')
    choices = {
        'coco_panoptic': dict(
            type='CocoPanopticDataset', seg_dir=root / 'annotations/panoptic_train2017', **coco
        ),
        'coco_instance': dict(
            type='CocoInstanceDataset',
            ann_file=root / 'annotations/instances_train2017.json',
            img_dir=root / 'train2017',
        ),
        'youtube_vis': dict(videos, ann_file=root / 'train.json'),
        'youtube_vis_2021': dict(videos, ann_file=root / 'train/instances.json'),
        'davis': dict(type='DavisDataset', root=root, split='train'),
        'vipseg': dict(type='VIPSegDataset', root=root, split='train'),
        'cityscapes': dict(
            type='CityscapesDataset',
            ann_file=root / 'gtFine/cityscapes_panoptic_train.json',
            img_dir=root / 'leftImg8bit/train',
            seg_dir=root / 'gtFine/cityscapes_panoptic_train',
        ),
        'sa1b': dict(type='SA1BDataset', root=root / 'train'),
        'bdd100k': dict(type='BDD100KDataset', root=root, split='train'),
        'folders': dict(type='FolderDataset', root=root, split='train'),
        'refcoco': dict(
            type='RefCocoDataset',
            refs_file=root / 'refs(unc).p',
            ann_file=root / 'instances.json',
            img_dir=root / 'train2014',
            split='train',
        ),
    }
    return dict(choices[layout], task='panoptic')


@pytest.fixture(scope='module')
def written(tmp_path_factory):
    """Function that writes two tiny samples of a layout, once."""
    known = {}

    def write(layout):
        if layout not in known:
            known[layout] = tmp_path_factory.mktemp('data') / layout
            steps = write_shapes(WRITERS[layout], known[layout], 2, num_frames=3, size=(48, 64))
            list(steps)
        return known[layout]

    return write


def faults_of(layout, root):
    check = open_check(settings_of(layout, root))
    return [*check.faults(), *(fault for _, part in walk({'x': check}, 0) for fault in part)]


@pytest.mark.parametrize('layout', WRITERS)
def test_shapes_in_every_layout_have_no_fault(written, layout):
    assert len(open_check(settings_of(layout, written(layout)))) >= 2
    assert faults_of(layout, written(layout)) == []


def first(root, pattern):
    return sorted(root.glob(pattern))[0]


LAYOUTS_OF_FILES = {  # where images and maps of the training split lie
    'davis': ('JPEGImages/480p/*/*.jpg', 'Annotations/480p/*/*.png'),
    'vipseg': ('images/*/*.jpg', 'panomasks/*/*.png'),
    'bdd100k': ('images/10k/train/*.jpg', 'labels/sem_seg/masks/train/*.png'),
    'folders': ('images/train/*', 'masks/train/*.png'),
    'cityscapes': ('leftImg8bit/train/*/*.png', 'gtFine/cityscapes_panoptic_train/*.png'),
}


@pytest.mark.parametrize('layout', LAYOUTS_OF_FILES)
def test_damage_to_images_and_maps_is_found_at_once(small, layout):
    """Of two complete pairs, one loses its map, and both files of the other are damaged."""
    root = small(layout, num=2)
    images, maps = (sorted(root.glob(pattern)) for pattern in LAYOUTS_OF_FILES[layout])
    if layout in ('davis', 'vipseg'):
        listed = next(root.rglob('train.txt')).read_text().split()[0]
        images, maps = ([p for p in paths if p.parent.name == listed] for paths in (images, maps))
    images[0].write_bytes(images[0].read_bytes()[:-300])
    ids = np.array(Image.open(maps[0]))
    Image.fromarray(ids[:-1]).save(maps[0])
    maps[1].unlink()
    faults = faults_of(layout, root)
    lost = maps[1] if layout == 'cityscapes' else images[1]
    assert {(fault.kind, fault.file) for fault in faults} >= {
        (FaultKind.BROKEN_FILE, str(images[0])),
        (FaultKind.MISSING_FILE, str(lost)),
    }
    kinds = {fault.kind for fault in faults if fault.file == str(maps[0])}
    # Without its image, whose size nobody else knows, a map can only be read.
    assert kinds == ({FaultKind.SIZE_MISMATCH} if layout == 'cityscapes' else set())


@pytest.mark.parametrize('layout', ['davis', 'bdd100k', 'folders', 'vipseg'])
def test_maps_of_another_size_and_maps_alone_are_found(small, layout):
    root = small(layout, num=1)
    maps = first(root, LAYOUTS_OF_FILES[layout][1])
    ids = np.array(Image.open(maps))
    Image.fromarray(ids[:-1]).save(maps)
    extra = maps.with_name('zzz.png')
    Image.fromarray(ids).save(extra)
    found = {(fault.kind, fault.file) for fault in faults_of(layout, root)}
    assert found == {
        (FaultKind.SIZE_MISMATCH, str(maps)),
        (FaultKind.MISSING_FILE, str(extra)),
    }


def test_values_of_no_class_are_found(small):
    root = small('vipseg')
    path = first(root, 'panomasks/*/*.png')
    ids = np.array(Image.open(path)).astype(np.uint16)
    ids[0, 0] = 60000
    Image.fromarray(ids).save(path)
    [fault] = faults_of('vipseg', root)
    assert fault.file == str(path)


def test_every_fault_of_youtube_vis_is_found(small):
    root = small('youtube_vis')
    path = root / 'train.json'
    content = json.loads(path.read_text())
    video, row = content['videos'][0], content['annotations'][0]
    codes = row['segmentations']
    content['annotations'] += [
        {**row, 'id': 900, 'category_id': 77},
        {**row, 'id': 901, 'video_id': 77},
        {**row, 'id': 902, 'segmentations': codes[1:]},
        {**row, 'id': 903, 'segmentations': [None] * len(codes)},
        {**row, 'id': 904, 'segmentations': [{'size': [9, 9], 'counts': [81]}, *codes[1:]]},
        row,
    ]
    path.write_text(json.dumps(content))
    frame = root / 'train/JPEGImages' / video['file_names'][1]
    frame.unlink()
    found = sorted((fault.kind, fault.file) for fault in faults_of('youtube_vis', root))
    assert found == sorted(
        [
            (FaultKind.WRONG_CATEGORY, str(path)),
            (FaultKind.BAD_ANNOTATION, str(path)),
            (FaultKind.BAD_ANNOTATION, str(path)),
            (FaultKind.BAD_ANNOTATION, str(path)),
            (FaultKind.EMPTY_MASK, str(path)),
            (FaultKind.DUPLICATE_ID, str(path)),
            (FaultKind.MISSING_FILE, str(frame)),
        ]
    )


def test_every_fault_of_sa1b_is_found(small):
    root = small('sa1b', num=3)
    images = sorted((root / 'train').rglob('*.jpg'))
    images[0].unlink()
    path = images[1].with_suffix('.json')
    content = json.loads(path.read_text())
    content['annotations'].append(content['annotations'][0])
    content['annotations'].append({'id': 99, 'segmentation': {'size': [48, 64], 'counts': [3072]}})
    content['image']['height'] += 1
    path.write_text(json.dumps(content))
    broken = images[2].with_suffix('.json')
    broken.write_text('{')
    found = {(fault.kind, fault.file) for fault in faults_of('sa1b', root)}
    assert found >= {
        (FaultKind.MISSING_FILE, str(images[0].with_suffix('.json'))),
        (FaultKind.DUPLICATE_ID, str(path)),
        (FaultKind.SIZE_MISMATCH, str(images[1])),
        (FaultKind.BROKEN_FILE, str(broken)),
    }


def test_joint_labels_are_checked_as_what_is_behind_them(small):
    root = small('davis')
    settings = dict(type='JointLabels', dataset=settings_of('davis', root), label_space='vipseg')
    assert len(open_check(settings)) == 3


def test_every_fault_of_refcoco_is_found(small):
    root = small('refcoco', num=2)
    path = root / 'instances.json'
    content = json.loads(path.read_text())
    refs = pickle.loads((root / 'refs(unc).p').read_bytes())
    named = [ref for ref in refs if ref['split'] == 'train']
    by_id = {row['id']: row for row in content['annotations']}
    by_id[named[0]['ann_id']]['segmentation'] = [[1, 2]]
    by_id[named[1]['ann_id']]['category_id'] = 77
    refs += [{**named[0], 'ann_id': 12345}, {**named[0], 'ref_id': 999, 'image_id': 12345}]
    path.write_text(json.dumps(content))
    (root / 'refs.json').write_text(json.dumps(refs))
    lost = first(root, 'train2014/*.jpg')
    lost.unlink()
    settings = dict(settings_of('refcoco', root), refs_file=root / 'refs.json')
    check = open_check(settings)
    found = [*check.faults(), *(f for _, part in walk({'x': check}, 0) for f in part)]
    assert sorted((fault.kind, fault.file) for fault in found) == sorted(
        [
            (FaultKind.BAD_ANNOTATION, str(path)),
            (FaultKind.WRONG_CATEGORY, str(path)),
            (FaultKind.DUPLICATE_ID, str(root / 'refs.json')),
            (FaultKind.BAD_ANNOTATION, str(root / 'refs.json')),
            (FaultKind.BAD_ANNOTATION, str(root / 'refs.json')),
            (FaultKind.MISSING_FILE, str(lost)),
        ]
    )
    missing = open_check(dict(settings, split='testZ'))
    assert any("'testZ'" in fault.message for fault in missing.faults())


def test_every_fault_of_shards_is_found(small, tmp_path):
    root = small('sa1b', num=4)
    folder = tmp_path / 'shards'
    path = first(root / 'train', '**/*.json')
    content = json.loads(path.read_text())
    content['annotations'].append(content['annotations'][0])
    path.write_text(json.dumps(content))
    list(write_shards(find_pairs(root / 'train'), folder, 1))
    shards = sorted(folder.glob('*.tar'))
    assert len(shards) == 4
    shards[1].write_bytes(shards[1].read_bytes()[:2000])
    shards[2].write_bytes(shards[3].read_bytes())
    check = open_check(dict(type='ShardDataset', shards=folder, task='interactive_image'))
    found = [*check.faults(), *(f for _, part in walk({'x': check}, 0) for f in part)]
    assert [(fault.kind, fault.file.split(':')[0]) for fault in found] == [
        (FaultKind.BROKEN_FILE, str(shards[1])),
        (FaultKind.DUPLICATE_ID, str(shards[3])),
        (FaultKind.DUPLICATE_ID, str(shards[0])),
    ]
    nothing = open_check(dict(type='ShardDataset', shards='pipe:ls', task='interactive_image'))
    assert 'never opened' in nothing.faults()[0].message


@pytest.mark.parametrize('kind', ['SA1BDataset', 'FolderDataset'])
def test_a_data_set_without_samples_is_a_fault(tmp_path, kind):
    for name in ('images/train', 'masks/train'):
        (tmp_path / name).mkdir(parents=True)
    settings = dict(type=kind, root=tmp_path, split='train')
    wrapped = dict(type='JointLabels', dataset=settings, label_space='coco_panoptic')
    for one in (settings, wrapped):
        [fault] = all_faults(open_check(one), one)
        assert fault.kind is FaultKind.MISSING_FILE
        assert fault.file == str(tmp_path)


def test_a_video_without_frames_is_a_fault(tmp_path):
    (tmp_path / 'ImageSets/2017').mkdir(parents=True)
    (tmp_path / 'ImageSets/2017/train.txt').write_text('cat')
    (tmp_path / 'JPEGImages/480p/cat').mkdir(parents=True)
    settings = dict(type='DavisDataset', root=tmp_path, split='train')
    [fault] = all_faults(open_check(settings), settings)
    assert fault.file == str(tmp_path / 'JPEGImages/480p/cat')
