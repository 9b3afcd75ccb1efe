"""Exports: round trips, what data sets read, and what is refused."""

import json
from xml.etree import ElementTree

import numpy as np
import pytest

from seg.apis.annotation import (
    FORMATS,
    AnnotationSession,
    MediaRecord,
    ObjectRecord,
    export_annotations,
    from_detections,
    import_annotations,
    to_detections,
)
from seg.apis.annotation.formats.brush_codes import decode_brush, encode_brush
from seg.apis.annotation.run_lengths import decode_mask, encode_mask
from seg.testing.fake_annotation import FakeAnnotationModel, fake_video
from seg.utils.checks import UserError

SIZE = (20, 30)
FRAMES = fake_video(3, SIZE)


def code(top, left, bottom, right):
    mask = np.zeros(SIZE, bool)
    mask[top:bottom, left:right] = True
    mask[top, left] = False
    return encode_mask(mask)


def video(name='clip', overlap=False):
    far = 5 if overlap else 15
    return MediaRecord(
        name,
        SIZE,
        3,
        True,
        (
            ObjectRecord(2, 'star', {0: code(2, 2, 12, 12), 2: code(0, 0, 20, 10)}),
            ObjectRecord(7, 'half moon', {0: code(1, far, 9, far + 9), 1: code(3, 20, 20, 30)}),
        ),
        lambda frame: FRAMES[frame],
    )


def image(name='photo', overlap=False):
    record = video(name, overlap)
    objects = tuple(
        ObjectRecord(one.object_id, one.label, {0: one.masks[0]}) for one in record.objects
    )
    return MediaRecord(name, SIZE, 1, False, objects, record.read)


def without_labels(record):
    objects = tuple(ObjectRecord(o.object_id, 'object', o.masks) for o in record.objects)
    return MediaRecord(record.name, SIZE, record.num_frames, record.is_video, objects)


@pytest.mark.parametrize('name', FORMATS)
def test_images_come_back_whole(tmp_path, name):
    overlap = name not in ('coco_panoptic', 'davis')
    records = [image('one', overlap), image('two')]
    export_annotations(records, name, tmp_path)
    expected = [without_labels(r) for r in records] if name == 'davis' else records
    if name == 'cvat_video':
        expected = [MediaRecord(r.name, SIZE, 1, True, r.objects) for r in records]
    assert import_annotations(name, tmp_path) == expected


@pytest.mark.parametrize('name', ['youtube_vis', 'davis', 'cvat_video'])
def test_videos_come_back_whole(tmp_path, name):
    overlap = name != 'davis'
    records = [video('a', overlap), video('b')]
    export_annotations(records, name, tmp_path)
    expected = [without_labels(r) for r in records] if name == 'davis' else records
    assert import_annotations(name, tmp_path) == expected


@pytest.mark.parametrize('name', ['coco', 'coco_panoptic', 'label_studio', 'cvat_images'])
def test_videos_become_images_where_a_format_has_no_videos(tmp_path, name):
    export_annotations([video()], name, tmp_path)
    records = import_annotations(name, tmp_path)
    assert [record.name for record in records] == ['clip_00000', 'clip_00001', 'clip_00002']
    assert [len(record.objects) for record in records] == [2, 1, 1]
    assert records[2].objects[0].masks[0] == video().objects[0].masks[2]


def test_the_smaller_object_shows_where_a_format_holds_no_overlaps(tmp_path):
    export_annotations([image(overlap=True)], 'coco_panoptic', tmp_path)
    (record,) = import_annotations('coco_panoptic', tmp_path)
    small = image(overlap=True).objects[1]
    assert record.objects[1].masks == small.masks
    shared = decode_mask(record.objects[0].masks[0], SIZE) & decode_mask(small.masks[0], SIZE)
    assert not shared.any()


def test_exports_are_data_sets_of_the_training_configs(tmp_path):
    from seg.datasets import (
        CocoInstanceDataset,
        CocoPanopticDataset,
        DavisDataset,
        YouTubeVISDataset,
    )

    for name in ('coco', 'coco_panoptic', 'youtube_vis', 'davis'):
        export_annotations([video()], name, tmp_path / name)
    root = tmp_path / 'coco'
    plain = dict(pipeline=[], task='interactive_image', min_size=0)
    coco = CocoInstanceDataset(
        ann_file=str(root / 'instances.json'), img_dir=str(root / 'images'), **plain
    )
    assert len(coco) == 3
    assert coco.metainfo['classes'] == ('half moon', 'star')
    first = coco[0]
    expected = decode_mask(video().objects[0].masks[0], SIZE)
    assert any(np.array_equal(mask, expected) for mask in first['masks'][:, 0].numpy())
    root = tmp_path / 'coco_panoptic'
    panoptic = CocoPanopticDataset(
        ann_file=str(root / 'panoptic.json'),
        img_dir=str(root / 'images'),
        seg_dir=str(root / 'panoptic'),
        **plain,
    )
    assert len(panoptic) == 3
    root = tmp_path / 'youtube_vis'
    vis = YouTubeVISDataset(
        ann_file=str(root / 'train.json'),
        img_dir=str(root / 'train/JPEGImages'),
        num_frames=3,
        task='panoptic',
        pipeline=[],
    )
    assert tuple(vis[0]['masks'].shape) == (2, 3, *SIZE)
    davis = DavisDataset(
        root=str(tmp_path / 'davis'), split='train', num_frames=3, task='vos', pipeline=[]
    )
    assert sorted(davis[0]['object_ids'].tolist()) == [2, 7]


def test_sessions_take_their_own_exports_back(tmp_path):
    model = FakeAnnotationModel()
    session = AnnotationSession(model)
    item = session.open(FRAMES, 'clip')
    item.add_click(item.add_object('star'), 10, 10, frame=1)
    item.accept(1)
    item.add_click(item.add_object('not done'), 20, 10)
    session.export('youtube_vis', tmp_path / 'all')
    session.export('youtube_vis', tmp_path / 'accepted', accepted_only=True)
    other = AnnotationSession(model)
    copy = other.open(FRAMES, 'clip')
    assert other.import_annotations('youtube_vis', tmp_path / 'accepted') == {'i1': [1]}
    assert np.array_equal(copy.mask(1, 1), item.mask(1, 1))
    assert other.import_annotations('youtube_vis', tmp_path / 'all') == {'i1': [2, 3]}
    assert [one.label for one in copy.objects] == ['star', 'star', 'not done']
    copy.undo()
    assert len(copy.objects) == 1
    with pytest.raises(UserError, match='images or videos of this session'):
        AnnotationSession(model).import_annotations('youtube_vis', tmp_path / 'all')


@pytest.mark.parametrize('name', FORMATS)
@pytest.mark.parametrize('content', ['', '{}', '[]', 'null', '[1]', '{"images": 3}', '<x/>', '<'])
def test_malformed_files_are_errors_without_paths(tmp_path, name, content):
    export_annotations([image()], name, tmp_path)
    for file in tmp_path.rglob('*'):
        if file.suffix in ('.json', '.xml') or (name == 'davis' and file.is_file()):
            file.write_text(content)
    if (name, content) in {('label_studio', '[]'), ('cvat_images', '<x/>')}:
        assert import_annotations(name, tmp_path) == []
        return
    with pytest.raises(UserError) as caught:
        import_annotations(name, tmp_path)
    if name != 'davis':
        assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize('side', [0, -3, 10**6, 1e99, None, 'x', [5]])
def test_sizes_that_would_fill_the_memory_are_refused(tmp_path, side):
    export_annotations([image()], 'coco', tmp_path)
    content = json.loads((tmp_path / 'instances.json').read_text())
    content['images'][0]['height'] = content['images'][0]['width'] = side
    content['annotations'][0]['segmentation'] = {'size': [side, side], 'counts': [10**12]}
    (tmp_path / 'instances.json').write_text(json.dumps(content))
    with pytest.raises(UserError, match='pixels'):
        import_annotations('coco', tmp_path)


def test_names_in_files_do_not_lead_out(tmp_path):
    export_annotations([image()], 'coco_panoptic', tmp_path / 'in')
    (tmp_path / 'secret.png').write_bytes((tmp_path / 'in/panoptic/photo.png').read_bytes())
    file = tmp_path / 'in' / 'panoptic.json'
    content = json.loads(file.read_text())
    content['annotations'][0]['file_name'] = '../../secret.png'
    file.write_text(json.dumps(content))
    with pytest.raises(UserError, match='leads out'):
        import_annotations('coco_panoptic', tmp_path / 'in')


def test_entities_in_xml_are_refused(tmp_path):
    text = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "b">]><annotations>&a;</annotations>'
    (tmp_path / 'annotations.xml').write_text(text)
    with pytest.raises(UserError, match='DOCTYPE'):
        import_annotations('cvat_images', tmp_path)


def test_a_brush_code_as_label_studio_writes_it():
    # 3332 x 2527 pixels in words of 8 bits, lengths of 3, 4, 8 and 16 bits, then repeated zeros.
    start = [2, 1, 233, 240, 57, 27, 255, 255, 255, 0, 255, 255]
    assert encode_brush(np.zeros((2527, 3332), bool))[:9] == start[:9]
    rng = np.random.default_rng(0)
    mask = rng.random((13, 17)) > 0.5
    assert np.array_equal(decode_brush(encode_brush(mask), (13, 17), 'x'), mask)
    # One pixel, listed word by word: 4 words, then flag 0, size 0 (3 bits), length 4, four words.
    bits = f'{4:032b}{7:05b}{2:04b}{3:04b}{7:04b}{15:04b}' + '000' + '011' + f'{255:08b}' * 4
    listed = [int(bits[i : i + 8].ljust(8, '0'), 2) for i in range(0, len(bits), 8)]
    assert decode_brush(listed, (1, 1), 'x').tolist() == [[True]]
    with pytest.raises(UserError, match='cut off'):
        decode_brush(encode_brush(mask)[:-4], (13, 17), 'x')


def test_frames_without_an_object_end_its_track(tmp_path):
    export_annotations([video()], 'cvat_video', tmp_path)
    text = (tmp_path / 'clip/annotations.xml').read_text()
    assert text.count('outside="1"') == 2


def test_folders_with_files_and_large_ids_are_refused(tmp_path):
    (tmp_path / 'x').write_text('')
    with pytest.raises(UserError, match='new or empty'):
        export_annotations([image()], 'coco', tmp_path)
    with pytest.raises(UserError, match='unknown format'):
        export_annotations([image()], 'voc', tmp_path / 'new')
    large = MediaRecord('m', SIZE, 1, False, (ObjectRecord(255, 'x', {}),), image().read)
    with pytest.raises(UserError, match='below 255'):
        export_annotations([large], 'davis', tmp_path / 'new')


def test_detections_come_back_whole():
    supervision = pytest.importorskip('supervision')
    record = image(overlap=True)
    detections = to_detections(record)
    assert isinstance(detections, supervision.Detections)
    assert detections.tracker_id.tolist() == [2, 7]
    assert detections.xyxy[1].tolist() == [5, 1, 13, 8]
    assert from_detections(detections, 'photo', SIZE) == record
    empty = MediaRecord('photo', SIZE, 1, False, ())
    assert from_detections(to_detections(empty), 'photo', SIZE) == empty


def test_label_studio_gets_the_labels_of_its_project(tmp_path):
    export_annotations([image()], 'label_studio', tmp_path)
    names = {
        label.get('value')
        for label in ElementTree.parse(tmp_path / 'label_studio.xml').iter('Label')
    }
    assert names == {one.label for one in image().objects}


@pytest.mark.parametrize('name', ['coco', 'youtube_vis'])
@pytest.mark.parametrize('value', ['x', 1e400, [], 'a\0b'])
def test_ids_that_are_no_numbers_are_errors(tmp_path, name, value):
    export_annotations([video()], name, tmp_path)
    (file,) = tmp_path.glob('*.json')
    content = json.loads(file.read_text())
    content['annotations'][0]['object_id'] = value
    file.write_text(json.dumps(content))
    with pytest.raises(UserError, match=rf'{file.name}: expected .* got something else'):
        import_annotations(name, tmp_path)


def test_runs_beyond_every_number_are_errors(tmp_path):
    export_annotations([image()], 'cvat_images', tmp_path)
    file = tmp_path / 'annotations.xml'
    tree = ElementTree.parse(file)
    next(tree.iter('mask')).set('rle', '9' * 30)
    tree.write(file)
    with pytest.raises(UserError, match=r'annotations\.xml: expected CVAT XML 1\.1'):
        import_annotations('cvat_images', tmp_path)


@pytest.mark.parametrize('label', ['', 'a\0b', 'x' * 201, '\n'])
def test_labels_that_no_object_may_have_are_not_taken_over(tmp_path, label):
    bad = MediaRecord('photo', SIZE, 1, False, (ObjectRecord(1, label, {}),), image().read)
    export_annotations([bad], 'coco', tmp_path)
    content = json.loads((tmp_path / 'instances.json').read_text())
    code = {'size': list(SIZE), 'counts': image().objects[0].masks[0]}
    row = dict(id=1, image_id=1, category_id=1, segmentation=code)
    content.update(annotations=[row], categories=[dict(id=1, name=label)])
    (tmp_path / 'instances.json').write_text(json.dumps(content))
    session = AnnotationSession(FakeAnnotationModel())
    item = session.open(FRAMES[0], 'photo')
    with pytest.raises(UserError, match='photo: label: expected a text'):
        session.import_annotations('coco', tmp_path)
    assert item.objects == []


def test_ids_that_pages_do_not_hold_are_replaced(tmp_path):
    huge = ObjectRecord(10**18, 'star', image().objects[0].masks)
    export_annotations(
        [MediaRecord('photo', SIZE, 1, False, (huge,), image().read)], 'coco', tmp_path
    )
    session = AnnotationSession(FakeAnnotationModel())
    session.open(FRAMES[0], 'photo')
    assert session.import_annotations('coco', tmp_path) == {'i1': [1]}


def test_what_was_drawn_in_label_studio_takes_no_place_of_what_was_exported(tmp_path):
    export_annotations([image()], 'label_studio', tmp_path)
    file = tmp_path / 'label_studio.json'
    (task,) = json.loads(file.read_text())
    results = task['annotations'][0]['result']
    drawn, again = ({**results[0], 'id': key} for key in ('Xy3_k', 'object-7'))
    task['annotations'][0]['result'] = [drawn, *results, again]
    task['data']['image'] = '/data/upload/3/0a1b2c3d-photo.png'
    file.write_text(json.dumps([task]))
    (record,) = import_annotations('label_studio', tmp_path)
    assert record.name == 'photo'
    assert [one.object_id for one in record.objects] == [8, 2, 7, 9]
    assert record.objects[1:3] == image().objects
