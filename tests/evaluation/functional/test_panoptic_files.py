import json

import numpy as np
import pytest
from PIL import Image

from seg.evaluation.functional.panoptic_files import (
    pair_panoptic_files,
    read_panoptic_png,
    write_panoptic_png,
)
from seg.utils.checks import UserError


@pytest.fixture
def files(tmp_path):
    """A data set of one image whose prediction is perfect: JSON and folder, twice."""
    ids = np.zeros((4, 6), np.int32)
    ids[:2], ids[2:, 3:] = 70000, 3
    segments = [{'id': 70000, 'category_id': 1}, {'id': 3, 'category_id': 5}]
    annotation = {'image_id': 11, 'file_name': 'a.png', 'segments_info': segments}
    categories = [{'id': 1, 'isthing': 1}, {'id': 5, 'isthing': 0}]
    for name in ('gt', 'pred'):
        write_panoptic_png(tmp_path / name / 'a.png', ids)
        content = {'annotations': [annotation], 'categories': categories}
        (tmp_path / f'{name}.json').write_text(json.dumps(content))
    return tmp_path


def pair(root):
    return pair_panoptic_files(root / 'gt.json', root / 'gt', root / 'pred.json', root / 'pred')


def change(path, edit):
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


def test_written_ids_are_read_back(tmp_path):
    ids = np.arange(24, dtype=np.int64).reshape(4, 6) * 699050
    write_panoptic_png(tmp_path / 'new' / 'a.png', ids)
    assert np.array_equal(read_panoptic_png(tmp_path / 'new' / 'a.png'), ids)
    assert [p.name for p in (tmp_path / 'new').iterdir()] == ['a.png']


def test_a_perfect_prediction_scores_one(files):
    pairs, categories = pair(files)
    assert categories == {1: True, 5: False}
    assert pairs[0].stat(categories).summary(categories)['All'] == {
        'pq': 1,
        'sq': 1,
        'rq': 1,
        'n': 2,
    }


def test_predictions_of_unknown_images_are_left_out(files):
    extra = {'image_id': 12, 'file_name': 'missing.png', 'segments_info': []}
    change(files / 'pred.json', lambda c: c['annotations'].append(extra))
    assert len(pair(files)[0]) == 1


def test_names_an_image_without_prediction(files):
    change(files / 'pred.json', lambda c: c['annotations'].clear())
    with pytest.raises(ValueError, match='image 11: expected a prediction for every image'):
        pair(files)


def test_names_an_image_predicted_twice(files):
    change(files / 'pred.json', lambda c: c['annotations'].extend(c['annotations']))
    with pytest.raises(ValueError, match=r'pred\.json: image 11 is annotated twice'):
        pair(files)


@pytest.mark.parametrize('key', ['image_id', 'file_name', 'segments_info'])
def test_names_a_missing_key(files, key):
    change(files / 'pred.json', lambda c: c['annotations'][0].pop(key))
    with pytest.raises(ValueError, match=rf"pred\.json: expected the key '{key}'"):
        pair(files)


@pytest.mark.parametrize('name', ['gt.json', 'pred.json', 'gt', 'pred'])
def test_names_a_missing_file_or_folder(files, name):
    (files / name).rename(files / 'away')
    with pytest.raises(FileNotFoundError, match=f'{name}: expected'):
        pair(files)


def test_names_a_file_that_is_no_json(files):
    (files / 'pred.json').write_bytes(b'\x89PNG')
    with pytest.raises(ValueError, match=r'pred\.json: expected JSON'):
        pair(files)


def test_names_a_missing_picture(files):
    (files / 'pred' / 'a.png').unlink()
    pairs, categories = pair(files)
    with pytest.raises(FileNotFoundError, match=r'a\.png: expected a panoptic PNG'):
        pairs[0].stat(categories)


@pytest.mark.parametrize('content', [b'', b'no picture'])
def test_names_a_file_that_is_no_picture(tmp_path, content):
    (tmp_path / 'a.png').write_bytes(content)
    with pytest.raises(ValueError, match=r'a\.png: expected a readable PNG'):
        read_panoptic_png(tmp_path / 'a.png')


def test_names_a_truncated_picture(tmp_path):
    ids = np.random.default_rng(0).integers(0, 1 << 24, (50, 50))
    write_panoptic_png(tmp_path / 'a.png', ids)
    whole = (tmp_path / 'a.png').read_bytes()
    (tmp_path / 'a.png').write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r'a\.png: expected a readable PNG'):
        read_panoptic_png(tmp_path / 'a.png')


@pytest.mark.parametrize('mode', ['L', 'RGBA', 'P'])
def test_names_a_picture_without_the_coding(tmp_path, mode):
    Image.new(mode, (4, 4)).save(tmp_path / 'a.png')
    with pytest.raises(ValueError, match=f'got mode {mode}'):
        read_panoptic_png(tmp_path / 'a.png')


@pytest.mark.parametrize('name', ['gt', 'pred'])
@pytest.mark.parametrize(
    ('edit', 'message'),
    [
        (lambda c: c.update(annotations=None), "expected a list as 'annotations', got 'None'"),
        (lambda c: c['annotations'][0].update(segments_info=None), "a list as 'segments_info'"),
        (lambda c: c['annotations'][0].update(file_name=3), "a text as 'file_name', got '3'"),
        (lambda c: c['annotations'][0].update(image_id=[]), "or a text as 'image_id'"),
        (
            lambda c: c['annotations'][0]['segments_info'][0].update(id='abc'),
            "expected a whole number as 'id' of a segment of image 11, got 'abc'",
        ),
        (
            lambda c: c['annotations'][0]['segments_info'][0].update(category_id=None),
            "a whole number as 'category_id' of a segment",
        ),
        (
            lambda c: c['annotations'][0]['segments_info'][0].update(area='big'),
            "a number as 'area' of a segment of image 11, got 'big'",
        ),
    ],
)
def test_names_the_file_and_field_of_a_wrong_value(files, name, edit, message):
    change(files / f'{name}.json', edit)
    with pytest.raises(UserError, match=rf'{name}\.json: .*{message}'):
        pair(files)


def test_names_a_wrong_category(files):
    change(files / 'gt.json', lambda c: c['categories'][0].update(id='person'))
    with pytest.raises(UserError, match=r"gt\.json: .*whole number as 'id', got 'person'"):
        pair(files)
    change(files / 'gt.json', lambda c: c.update(categories=None))
    with pytest.raises(UserError, match=r"gt\.json: expected a list as 'categories'"):
        pair(files)


def test_ground_truth_without_annotations_is_refused(files):
    change(files / 'gt.json', lambda c: c['annotations'].clear())
    with pytest.raises(UserError, match=r"gt\.json: expected at least one entry in 'annotations'"):
        pair(files)
