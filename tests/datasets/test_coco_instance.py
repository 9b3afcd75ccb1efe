import json

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from seg.datasets import CocoInstanceDataset
from seg.datasets.coco_instance import decode_segmentation
from seg.datasets.transforms import PackClip
from seg.registry import DATASETS
from seg.utils.checks import UserError

SIZE = (40, 50)


def rectangle(top, left, bottom, right):
    mask = np.zeros(SIZE, dtype=bool)
    mask[top:bottom, left:right] = True
    return mask


def runs_of(mask):
    """Uncompressed run-length code, column by column."""
    values = mask.T.flatten()
    changes = np.flatnonzero(np.diff(values, prepend=False))
    counts = np.diff(np.concatenate([[0], changes, [values.size]])).tolist()
    return {'size': list(SIZE), 'counts': counts}


def compressed(mask):
    code = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {'size': code['size'], 'counts': code['counts'].decode()}


SQUARE = rectangle(10, 5, 20, 25)
POLYGON = [[5, 10, 25, 10, 25, 20, 5, 20]]


def toy_content():
    return {
        'images': [
            {'id': 'a', 'file_name': 'sub/one.png', 'height': 40, 'width': 50},
            {'id': 'b', 'file_name': 'sub/one.png', 'height': 40, 'width': 50},
        ],
        'annotations': [
            {'id': 1, 'image_id': 'a', 'category_id': 9, 'segmentation': POLYGON},
            {'id': 2, 'image_id': 'a', 'category_id': 4, 'segmentation': compressed(~SQUARE)},
            {
                'id': 3,
                'image_id': 'a',
                'category_id': 4,
                'segmentation': runs_of(SQUARE),
                'iscrowd': 1,
            },
            {'id': 4, 'image_id': 'a', 'category_id': 4, 'segmentation': [[1, 1, 1, 1, 1, 1]]},
        ],
        'categories': [{'id': 9, 'name': 'bolt'}, {'id': 4, 'name': 'nut', 'isthing': 0}],
    }


@pytest.fixture
def toy(tmp_path):
    """Function that writes the toy data set, perhaps changed, and returns its arguments."""

    def write(change=None):
        content = toy_content()
        if change is not None:
            change(content)
        (tmp_path / 'photos' / 'sub').mkdir(parents=True, exist_ok=True)
        Image.new('RGB', SIZE[::-1], (9, 8, 7)).save(tmp_path / 'photos' / 'sub' / 'one.png')
        (tmp_path / 'instances.json').write_text(json.dumps(content))
        return {
            'ann_file': tmp_path / 'instances.json',
            'img_dir': tmp_path / 'photos',
            'task': 'panoptic',
            'pipeline': [PackClip()],
        }

    return write


@pytest.mark.parametrize('code', [POLYGON, runs_of(SQUARE), compressed(SQUARE)])
def test_all_codes_draw_the_same_mask(code):
    mask = decode_segmentation(code, SIZE, 'here')
    assert mask.dtype == bool
    np.testing.assert_array_equal(mask, SQUARE)


def test_several_polygons_are_one_mask():
    other = [[30, 2, 40, 2, 40, 6, 30, 6]]
    mask = decode_segmentation(POLYGON + other, SIZE, 'here')
    np.testing.assert_array_equal(mask, SQUARE | rectangle(2, 30, 6, 40))


@pytest.mark.parametrize(
    ('code', 'message'),
    [
        ([], 'polygons of at least three points'),
        (None, 'polygons of at least three points'),
        ('text', 'polygons of at least three points'),
        ([[1, 2, 3, 4]], 'polygons of at least three points'),
        ([[1, 2, 3, 4, 5, 6, 7]], 'polygons of at least three points'),
        ({'size': [40, 50]}, 'run-length code with counts'),
        ({'size': [50, 40], 'counts': [2000]}, r'size \[40, 50\], got size \[50, 40\]'),
    ],
)
def test_malformed_codes_are_named(code, message):
    with pytest.raises(UserError, match=rf'^there: expected .*{message}'):
        decode_segmentation(code, SIZE, 'there')


def test_instances_of_any_categories_and_folders(toy):
    dataset = DATASETS.build({'type': 'CocoInstanceDataset', **toy()})
    assert len(dataset) == 1  # the image without instances is left out
    segments = dataset[0]['data_samples'].gt_segments
    assert segments.masks.shape == (3, 1, 40, 50)  # the polygon without a pixel is left out
    np.testing.assert_array_equal(segments.masks[1, 0].numpy(), ~SQUARE)
    assert segments.labels.tolist() == [1, 0, 0]
    assert segments.object_ids.tolist() == [1, 2, 3]
    assert segments.is_crowd.tolist() == [False, False, True]


def test_all_classes_are_things(toy):
    metainfo = CocoInstanceDataset(**toy()).metainfo
    assert metainfo['classes'] == ('nut', 'bolt')
    assert metainfo['num_things'] == 2
    assert metainfo['category_ids'] == (4, 9)


def test_chosen_classes_keep_their_order(toy):
    dataset = CocoInstanceDataset(**toy(), classes=['bolt'])
    assert dataset.metainfo['category_ids'] == (9,)
    assert dataset[0]['data_samples'].gt_segments.labels.tolist() == [0]


def test_images_without_instances_are_kept_in_test_mode(toy):
    dataset = CocoInstanceDataset(**toy(), test_mode=True)
    assert len(dataset) == 2
    segments = dataset[1]['data_samples'].gt_segments
    assert segments.masks.shape == (0, 1, 40, 50)
    assert segments.labels.shape == (0,)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda c: c['annotations'][0].update(image_id='z'), 'image_id of annotation 1 .* got z'),
        (
            lambda c: c['annotations'][0].update(category_id=5),
            'category_id of annotation 1 .* got 5',
        ),
        (lambda c: c['annotations'][0].pop('segmentation'), "'segmentation' in annotation 1"),
        (lambda c: c['images'][0].pop('height'), "'height' in image a"),
        (lambda c: c['categories'].clear(), 'at least one category'),
        (lambda c: c['annotations'].clear(), 'at least one usable image'),
    ],
)
def test_broken_annotation_files_are_named(toy, change, message):
    with pytest.raises(UserError, match=rf'instances\.json: .*{message}'):
        CocoInstanceDataset(**toy(change))


def test_malformed_masks_name_file_and_annotation(toy):
    dataset = CocoInstanceDataset(
        **toy(lambda c: c['annotations'][0].update(segmentation=[[1, 2]]))
    )
    with pytest.raises(UserError, match=r'instances\.json: annotation 1: expected polygons'):
        dataset[0]


def test_other_sizes_are_named(toy, tmp_path):
    dataset = CocoInstanceDataset(**toy())
    Image.new('RGB', (5, 6)).save(tmp_path / 'photos' / 'sub' / 'one.png')
    with pytest.raises(UserError, match=r'one\.png: expected height x width 40 x 50'):
        dataset[0]


def test_a_missing_or_broken_image_is_named_with_the_file_that_names_it(toy, tmp_path):
    dataset = CocoInstanceDataset(**toy())
    image = tmp_path / 'photos' / 'sub' / 'one.png'
    image.write_bytes(b'no image')
    with pytest.raises(UserError, match=r'one\.png: .*named by .*instances\.json, image a$'):
        dataset.load(0)
    image.unlink()
    with pytest.raises(FileNotFoundError, match=r'one\.png: .*by .*instances\.json, image a$'):
        dataset.load(0)


def test_annotations_whose_box_and_mask_disagree_can_be_left_out(toy):
    def change(content):
        content['annotations'][0]['bbox'] = [5, 10, 20, 5]  # half of the polygon's box
        content['annotations'][1]['bbox'] = None

    kept = [len(CocoInstanceDataset(**toy(change), min_box_iou=least).load(0)['masks'])
            for least in (0.0, 0.5, 0.6)]  # fmt: skip
    assert kept == [3, 3, 2]

    def as_corners(content):
        for annotation in content['annotations']:
            annotation['bbox'] = [0, 0, 1, 1]

    with pytest.warns(UserWarning, match=r"disagree with their 'bbox' .*\[x, y, width, height\]"):
        CocoInstanceDataset(**toy(as_corners), min_box_iou=0.5).load(0)
    with pytest.raises(UserError, match=r'min_box_iou: expected a number in \[0, 1\], got 50'):
        CocoInstanceDataset(**toy(), min_box_iou=50)


def test_boxes_that_are_none_are_named(toy):
    with pytest.raises(UserError, match=r"numbers \[x, y, width, height\] in the field 'bbox' of"):
        CocoInstanceDataset(**toy(lambda content: content['annotations'][0].update(bbox=[1, 2])))
