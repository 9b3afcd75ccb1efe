import json
import shutil

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from PIL import Image

from seg.datasets import CocoPanopticDataset
from seg.datasets.transforms import (
    ClipFlip,
    ClipRandomResize,
    DropSmallSegments,
    FrameRandomCrop,
    InteriorClickPrompts,
    PackClip,
    PseudoClip,
    RandomClickPrompts,
    TestResize,
)
from seg.models.data_preprocessors import ClipPreprocessor
from seg.registry import DATASETS
from seg.structures.panoptic_ids import encode_panoptic
from seg.utils.checks import UserError

SEGMENTS = [
    {'id': 70000, 'category_id': 30, 'iscrowd': 0},
    {'id': 5, 'category_id': 7, 'iscrowd': 0},
    {'id': 9, 'category_id': 30, 'iscrowd': 1},
]


def toy_content():
    """Two images, of which the second has a crowd alone; stuff is listed before things."""
    return {
        'images': [
            {'id': 1, 'file_name': 'one.png', 'height': 40, 'width': 50},
            {'id': 2, 'file_name': 'two.png', 'height': 40, 'width': 50},
        ],
        'annotations': [
            {'image_id': 1, 'file_name': 'one.png', 'segments_info': SEGMENTS},
            {'image_id': 2, 'file_name': 'two.png', 'segments_info': SEGMENTS[2:]},
        ],
        'categories': [
            {'id': 7, 'name': 'lawn', 'isthing': 0},
            {'id': 30, 'name': 'cat', 'isthing': 1, 'color': [1, 2, 3]},
            {'id': 40, 'name': 'dog', 'isthing': 1},
        ],
    }


def toy_ids():
    ids = np.zeros((40, 50), dtype=np.int32)  # the rest is void
    ids[5:15, 5:25], ids[20:40], ids[0:3, 40:] = 70000, 5, 9
    return ids


@pytest.fixture
def toy(tmp_path):
    """Function that writes the toy data set, perhaps changed, and returns its arguments."""

    def write(change=None):
        content = toy_content()
        if change is not None:
            change(content)
        for folder in ('images', 'segments'):
            (tmp_path / folder).mkdir(exist_ok=True)
        for name in ('one.png', 'two.png'):
            Image.new('RGB', (50, 40), (9, 8, 7)).save(tmp_path / 'images' / name)
            ids = toy_ids() if name == 'one.png' else np.where(toy_ids() == 9, 9, 0)
            Image.fromarray(encode_panoptic(ids)).save(tmp_path / 'segments' / name)
        (tmp_path / 'panoptic.json').write_text(json.dumps(content))
        return {
            'ann_file': tmp_path / 'panoptic.json',
            'img_dir': tmp_path / 'images',
            'seg_dir': tmp_path / 'segments',
            'task': 'panoptic',
            'pipeline': [PackClip()],
        }

    return write


def test_segments_become_masks(toy):
    dataset = DATASETS.build({'type': 'CocoPanopticDataset', **toy()})
    packed = dataset[0]
    segments = packed['data_samples'].gt_segments
    assert packed['inputs'].shape == (1, 3, 40, 50)
    assert packed['inputs'][0, :, 0, 0].tolist() == [9, 8, 7]
    for row, segment in enumerate(SEGMENTS):
        np.testing.assert_array_equal(segments.masks[row, 0].numpy(), toy_ids() == segment['id'])
    assert segments.labels.tolist() == [0, 2, 0]
    assert segments.object_ids.tolist() == [70000, 5, 9]
    assert segments.is_crowd.tolist() == [False, False, True]
    sample = packed['data_samples']
    assert (sample.img_id, sample.ori_shape, sample.dataset_name) == (1, (40, 50), 'coco_panoptic')


def test_classes_come_from_the_file_things_first(toy):
    metainfo = CocoPanopticDataset(**toy()).metainfo
    assert metainfo['classes'] == ('cat', 'dog', 'lawn')
    assert metainfo['num_things'] == 2
    assert metainfo['category_ids'] == (30, 40, 7)
    assert metainfo['palette'][0] == (1, 2, 3)
    assert len(metainfo['palette']) == 3


def test_other_classes_become_void(toy):
    dataset = CocoPanopticDataset(**toy(), classes=['lawn', 'dog'])
    assert dataset.metainfo['classes'] == ('dog', 'lawn')
    assert dataset[0]['data_samples'].gt_segments.labels.tolist() == [1]


def test_empty_and_small_images_are_left_out_in_training_only(toy):
    arguments = toy()
    assert len(CocoPanopticDataset(**arguments)) == 1
    assert len(CocoPanopticDataset(**arguments, filter_empty=False)) == 2
    assert len(CocoPanopticDataset(**arguments, test_mode=True)) == 2
    assert len(CocoPanopticDataset(**arguments, test_mode=True, min_size=41)) == 2
    with pytest.raises(UserError, match='at least one usable image, got none of 2'):
        CocoPanopticDataset(**arguments, min_size=41)


def test_images_of_referring_tests_are_left_out(toy, tmp_path):
    def with_another(content):
        content['annotations'][1]['segments_info'] = SEGMENTS

    sentences = [{'sent_id': 1, 'sent': 'cat'}]
    refs = [
        {'ref_id': n, 'ann_id': n, 'image_id': n, 'split': split, 'sentences': sentences}
        for n, split in ((1, 'train'), (2, 'testA'))
    ]
    (tmp_path / 'refs.json').write_text(json.dumps(refs))
    arguments = toy(with_another)
    dataset = CocoPanopticDataset(**arguments, held_out_refs=[tmp_path / 'refs.json'])
    assert len(CocoPanopticDataset(**arguments)) == 2
    assert [dataset.load(index)['img_id'] for index in range(len(dataset))] == [1]


def test_two_data_sets_share_one_index(toy):
    arguments = toy()
    first, second = CocoPanopticDataset(**arguments), CocoPanopticDataset(**arguments)
    assert first.index is second.index


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda c: c.pop('categories'), "expected the field 'categories' in the file"),
        (lambda c: c['images'].pop(0), "expected an entry in 'images' for image 1"),
        (lambda c: c['images'][0].pop('width'), "expected the field 'width' in image 1"),
        (
            lambda c: c['annotations'][0].pop('file_name'),
            "'file_name' in the annotation of image 1",
        ),
        (lambda c: c['categories'].pop(0), 'category_id of segment 5 .* got 7'),
        (lambda c: c['categories'][0].pop('isthing'), r"'isthing' in categories\[0\]"),
        (lambda c: c['categories'][0].update(name='cat'), r"category name once, got \['cat'\]"),
        (lambda c: c.update(categories=[], annotations=[]), 'at least one category'),
    ],
)
def test_broken_annotation_files_are_named(toy, change, message):
    with pytest.raises(UserError, match=rf'panoptic\.json: .*{message}'):
        CocoPanopticDataset(**toy(change))


def test_annotation_files_that_are_none(toy, tmp_path):
    arguments = toy()
    with pytest.raises(FileNotFoundError, match=r'gone\.json: expected an annotation file'):
        CocoPanopticDataset(**{**arguments, 'ann_file': tmp_path / 'gone.json'})
    arguments['ann_file'].write_text('{"images": [')
    with pytest.raises(UserError, match='expected JSON'):
        CocoPanopticDataset(**arguments)
    arguments['ann_file'].write_text('[1, 2]')
    with pytest.raises(UserError, match='expected a JSON object'):
        CocoPanopticDataset(**arguments)


def test_unknown_classes_get_a_suggestion(toy):
    with pytest.raises(UserError, match=r"unknown class 'cats'.*Did you mean 'cat'"):
        CocoPanopticDataset(**toy(), classes=['cats'])


def test_missing_pictures_are_named(toy, tmp_path):
    dataset = CocoPanopticDataset(**toy())
    (tmp_path / 'segments' / 'one.png').unlink()
    with pytest.raises(FileNotFoundError, match=r'segments/one\.png.*named by .*\.json, image 1$'):
        dataset[0]
    (tmp_path / 'images' / 'one.png').unlink()
    with pytest.raises(FileNotFoundError, match=r'images/one\.png.*named by .*\.json, image 1$'):
        dataset[0]


@pytest.mark.parametrize('folder', ['images', 'segments'])
def test_other_sizes_are_named(toy, tmp_path, folder):
    dataset = CocoPanopticDataset(**toy())
    Image.new('RGB', (40, 50)).save(tmp_path / folder / 'one.png')
    with pytest.raises(UserError, match=rf'{folder}/one\.png: expected .* 40 x 50 .* got 50 x 40'):
        dataset[0]


@pytest.mark.parametrize(
    ('value', 'message'),
    [(11, r'only the ids listed .* got \[11\]'), (0, r'none with the ids \[70000\]')],
)
def test_ids_of_png_and_json_must_agree(toy, tmp_path, value, message):
    dataset = CocoPanopticDataset(**toy())
    ids = toy_ids()
    ids[ids == 70000] = value
    Image.fromarray(encode_panoptic(ids)).save(tmp_path / 'segments' / 'one.png')
    with pytest.raises(UserError, match=message):
        dataset[0]


def real_sample(shared_dir, task, pipeline, **settings):
    root = shared_dir / 'fixtures' / 'coco_panoptic'
    return CocoPanopticDataset(
        root / 'annotations' / 'panoptic_val2017.json',
        root / 'val2017',
        root / 'annotations' / 'panoptic_val2017',
        task,
        pipeline,
        **settings,
    )


@pytest.mark.data
def test_coco_has_its_official_classes(shared_dir):
    dataset = real_sample(shared_dir, 'panoptic', [PackClip()])
    classes = dataset.metainfo['classes']
    assert (len(dataset), len(classes), dataset.metainfo['num_things']) == (2, 133, 80)
    assert classes[0] == 'person'
    assert classes[79] == 'toothbrush'
    assert classes[80] == 'banner'
    assert classes[132] == 'rug-merged'


@pytest.mark.data
def test_coco_masks_have_the_areas_of_the_annotation(shared_dir):
    dataset = real_sample(shared_dir, 'panoptic', [PackClip()])
    content = json.loads(dataset.ann_file.read_bytes())
    for row, annotation in enumerate(content['annotations']):
        segments = dataset[row]['data_samples'].gt_segments
        areas = [segment['area'] for segment in annotation['segments_info']]
        assert segments.masks.flatten(1).sum(dim=1).tolist() == areas
        assert segments.masks.sum(dim=0).max() == 1  # no pixel belongs to two segments


@pytest.mark.data
def test_coco_goes_through_a_training_pipeline(shared_dir):
    pipeline = [
        ClipFlip(),
        ClipRandomResize((92, 160), (0.8, 2.0)),
        PseudoClip(2),
        FrameRandomCrop((92, 160)),
        DropSmallSegments(8),
        RandomClickPrompts(30, repeat=True),
        PackClip(),
    ]
    dataset = real_sample(shared_dir, 'interactive_image', pipeline)
    batch = ClipPreprocessor(pad_size=(92, 160))(
        pseudo_collate([dataset[0], dataset[1]]), training=True
    )
    assert batch['inputs'].shape == (2, 2, 3, 96, 160)
    for sample in batch['data_samples']:
        segments, prompts = sample.gt_segments, sample.prompts
        assert segments.masks.shape[1:] == (2, 96, 160)
        assert len(prompts) == 30
        x, y = prompts.point_coords[:, 0].long().unbind(dim=1)
        assert segments.masks[sample.prompt_targets, prompts.frame_index, y, x].all()


@pytest.mark.data
def test_coco_goes_through_a_test_pipeline(shared_dir):
    pipeline = [InteriorClickPrompts(), TestResize((200, 333)), PackClip()]
    dataset = real_sample(shared_dir, 'interactive_image', pipeline, test_mode=True)
    packed = dataset[0]
    sample = packed['data_samples']
    assert packed['inputs'].shape == (1, 3, 200, 300)
    assert sample.gt_segments.masks.shape[1:] == (1, 427, 640)
    assert sample.ori_shape == (427, 640)
    x, y = (sample.prompts.point_coords[:, 0] / torch.tensor(sample.scale_factor)).long().T
    assert sample.gt_segments.masks[sample.prompt_targets, 0, y, x].all()
    crowds = int(sample.gt_segments.is_crowd.sum())
    assert len(sample.prompts) == len(sample.gt_segments) - crowds


@pytest.mark.data
def test_exif_rotation_of_a_photograph_is_ignored(shared_dir, tmp_path):
    root = shared_dir / 'fixtures' / 'coco_panoptic'
    shutil.copytree(root / 'val2017', tmp_path / 'val2017')
    name = '000000142238.jpg'
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.open(root / 'val2017' / name).save(tmp_path / 'val2017' / name, exif=exif)
    dataset = real_sample(shared_dir, 'panoptic', [PackClip()])
    dataset.img_dir = tmp_path / 'val2017'
    assert dataset[0]['inputs'].shape == (1, 3, 427, 640)
