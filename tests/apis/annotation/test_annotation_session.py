"""Sessions: prompts, objects, undo, files; without a network."""

import json

import numpy as np
import pytest
from PIL import Image

from seg.apis import load_model
from seg.apis.annotation import AnnotationModel, AnnotationSession
from seg.datasets import ShapesDataset
from seg.testing.fake_annotation import FakeAnnotationModel, fake_video
from seg.testing.fake_segmentor import FakeSegmentor
from seg.utils.checks import UserError

IMAGE = fake_video(1)[0]


@pytest.fixture
def model():
    return FakeAnnotationModel()


@pytest.fixture
def item(model):
    return AnnotationSession(model).open(IMAGE, 'photo')


def area(item, object_id=1, frame=0):
    mask = item.mask(object_id, frame)
    return None if mask is None else int(mask.sum())


def test_clicks_are_added_moved_and_removed(item):
    star = item.add_object('star')
    item.add_click(star, 15, 20)
    one = item.mask(star)
    assert one[20, 15]
    item.add_click(star, 45, 20)
    assert item.mask(star)[20, 45]
    item.move_click(star, 1, 15, 20)
    assert np.array_equal(item.mask(star), one)
    item.add_click(star, 15, 20, positive=False)
    assert area(item) == 0
    item.remove_click(star, 2)
    assert area(item) == one.sum()
    item.remove_click(star, 1)
    item.remove_click(star, 0)
    assert item.mask(star) is None
    assert item.timeline().prompted == []


def test_boxes_and_texts_answer(item):
    one, two = item.add_object(), item.add_object()
    item.set_box(one, [6, 4, 30, 20])
    item.set_text(two, '  the  left ')
    assert area(item, one) == 24 * 16
    assert area(item, two) == 40 * 30
    assert item.object(two).prompts[0].text == 'the left'
    item.set_box(one, None)
    assert item.mask(one) is None


def test_a_frame_is_encoded_once_for_all_prompts(item, model):
    for x in (10, 20, 30):
        item.add_click(item.add_object(), x, 10)
    assert model.model.num_encoded == 1


def test_every_change_can_be_undone_and_redone(item):
    star = item.add_object('star')
    item.add_click(star, 15, 20)
    item.relabel(star, 'moon')
    item.accept(star)
    item.hide(star)
    item.delete_object(star)
    assert item.objects == []
    for expected in (('moon', True, True), ('moon', True, False), ('moon', False, False)):
        item.undo()
        one = item.object(star)
        assert (one.label, one.accepted, one.hidden) == expected
    item.undo()
    item.undo()
    assert item.mask(star) is None
    item.redo()
    assert area(item) > 0
    item.add_click(star, 40, 20)
    with pytest.raises(UserError, match='redo'):
        item.redo()


def test_ids_are_not_used_again(item):
    first = item.add_object()
    item.delete_object(first)
    assert item.add_object() == first + 1


def test_prompts_on_a_given_mask_correct_it(item):
    star = item.add_object()
    drawn = np.zeros((40, 60), bool)
    drawn[10:20, 10:20] = True
    item.set_mask(star, drawn)
    asked = []
    ask = item._view().owner.model.predict_prompts

    def watch(features, samples, **settings):
        asked.append(samples[0].prompts.previous_logits)
        return ask(features, samples, **settings)

    item._view().owner.model.predict_prompts = watch
    item.add_click(star, 40, 30)
    assert item.timeline().corrected == [0]
    before = asked[0][0, 0]
    assert before.shape == (16, 16)  # the canvas of 64 x 64 at stride 4
    assert before[3, 3] > 0 > before[8, 12]
    item.remove_click(star, 0)
    assert np.array_equal(item.mask(star), drawn)


@pytest.mark.parametrize(
    ('call', 'message'),
    [
        (lambda i: i.add_click(1, 60, 3), 'inside the image'),
        (lambda i: i.add_click(1, float('nan'), 3), 'finite number'),
        (lambda i: i.add_click(1, 'x', 3), 'finite number'),
        (lambda i: i.add_click(9, 3, 3), 'object 9'),
        (lambda i: i.add_click(1, 3, 3, frame=1), 'frame'),
        (lambda i: i.add_click(1, 3, 3, frame=True), 'frame'),
        (lambda i: i.move_click(1, 5, 3, 3), 'click'),
        (lambda i: i.set_box(1, [10, 10, 5, 20]), 'x1 < x2'),
        (lambda i: i.set_box(1, [1, 2, 3]), 'four numbers'),
        (lambda i: i.set_text(1, ' '), 'text'),
        (lambda i: i.set_text(1, 'x' * 201), 'text'),
        (lambda i: i.relabel(1, 'a\0b'), 'label'),
        (lambda i: i.set_mask(1, np.zeros((3, 3), bool)), 'mask'),
        (lambda i: i.find(text='star'), 'finds all instances'),
    ],
)
def test_what_is_refused_changes_nothing(item, call, message):
    item.add_object()
    item.add_click(1, 10, 10)
    before = item.state
    with pytest.raises(UserError, match=message):
        call(item)
    assert item.state is before


def test_kinds_that_the_model_does_not_know_are_named():
    item = AnnotationSession(FakeAnnotationModel(prompt_kinds=('click',))).open(IMAGE)
    item.add_object()
    with pytest.raises(UserError, match='box'):
        item.set_box(1, [3, 3, 9, 9])


def test_everything_is_there_after_loading(model, tmp_path):
    session = AnnotationSession(model, tmp_path / 'work')
    item = session.open(fake_video(3), 'clip')
    star = item.add_object('star')
    item.add_click(star, 15, 20, frame=2)
    item.set_box(item.add_object(), [5, 5, 20, 20])
    item.delete_object(item.add_object('gone'))
    again = AnnotationSession.load(model, tmp_path / 'work').item(item.item_id)
    assert again.state == item.state
    assert again.media.is_video
    assert np.array_equal(again.media.read(2), item.media.read(2))
    assert again.add_object() == 4


def test_folders_of_images_are_read_when_looked_at(model, tmp_path):
    for name in ('b.png', 'a.png'):
        Image.fromarray(IMAGE).save(tmp_path / name)
    (tmp_path / 'c.png').write_bytes(b'no image')
    session = AnnotationSession(model, tmp_path / 'work', roots=[tmp_path])
    ids = session.open_folder(tmp_path)
    assert [session.entries[i].name for i in ids] == ['a', 'b', 'c']
    assert session.item(ids[0]).media.size == (40, 60)
    with pytest.raises(UserError, match='readable image'):
        session.item(ids[2])


def test_names_are_unique_and_never_paths(model):
    session = AnnotationSession(model)
    for name in ('../../etc/passwd', 'a/b', 'a/b', '...'):
        session.open(IMAGE, name)
    names = [entry.name for entry in session.entries.values()]
    assert names == ['_.._etc_passwd', 'a_b', 'a_b_2', 'item']


def test_media_outside_the_roots_are_refused(model, tmp_path):
    inside, outside = tmp_path / 'in', tmp_path / 'out'
    for folder in (inside, outside):
        folder.mkdir()
        Image.fromarray(IMAGE).save(folder / 'a.png')
    (inside / 'link.png').symlink_to(outside / 'a.png')
    session = AnnotationSession(model, roots=[inside])
    session.open(inside / 'a.png')
    for path in (outside / 'a.png', inside / '..' / 'out' / 'a.png', inside / 'link.png'):
        with pytest.raises(UserError, match='folders that may be read'):
            session.open(path)
    with pytest.raises(UserError, match='folders that may be read'):
        session.open_video(inside)  # a frame of it is a link that leads out


@pytest.mark.parametrize(
    'content',
    ['', '{', '[]', 'null', '{"format": "other"}', '{"format": "rapsam-annotation-item-1"}'],
)
def test_damaged_files_are_named(model, tmp_path, content):
    session = AnnotationSession(model, tmp_path)
    item = session.open(IMAGE)
    item.add_object()
    (tmp_path / 'items' / 'i1.json').write_text(content)
    with pytest.raises(UserError, match=r'i1\.json: expected saved annotations'):
        AnnotationSession.load(model, tmp_path).item('i1')
    (tmp_path / 'session.json').write_text(content)
    with pytest.raises(UserError, match=r'session\.json: expected a saved session'):
        AnnotationSession.load(model, tmp_path)


def test_damaged_masks_are_refused(model, tmp_path):
    item = AnnotationSession(model, tmp_path).open(IMAGE)
    item.add_click(item.add_object(), 10, 10)
    file = tmp_path / 'items' / 'i1.json'
    content = json.loads(file.read_text())
    content['objects'][0]['masks']['0'][0] = '52'
    file.write_text(json.dumps(content))
    with pytest.raises(UserError, match='run-length'):
        AnnotationSession.load(model, tmp_path).item('i1')


def test_undo_is_bounded(item, monkeypatch):
    monkeypatch.setattr('seg.apis.annotation.history.MAX_STEPS', 3)
    for _ in range(5):
        item.add_object()
    for _ in range(3):
        item.undo()
    with pytest.raises(UserError, match='undo'):
        item.undo()
    assert len(item.objects) == 2


def test_a_refused_first_prompt_leaves_what_can_be_redone(item):
    item.add_object('star')
    item.undo()
    with pytest.raises(UserError, match='inside the image'):
        item.add_prompted('moon', lambda one: item.add_click(one, 500, 5))
    item.redo()
    assert [one.label for one in item.objects] == ['star']
    item.add_prompted('moon', lambda one: item.add_click(one, 50, 5))
    item.undo()
    assert [one.label for one in item.objects] == ['star']


def test_changes_can_be_written_later(model, tmp_path):
    session = AnnotationSession(model, tmp_path, save_at_once=False)
    session.open(IMAGE).add_object('star')
    file = tmp_path / 'items' / 'i1.json'
    assert not file.exists()
    session.save_changes()
    assert AnnotationSession.load(model, tmp_path).item('i1').objects[0].label == 'star'


def test_everything_is_found_once_and_undone_in_one_step(item):
    first = item.find_everything()
    assert [one.label for one in item.objects] == ['star', 'grass']
    assert first == [1, 2]
    assert area(item, 1) == 100
    assert item.find_everything() == []
    item.delete_object(2)
    assert item.find_everything() == [3]
    for _ in range(3):
        item.undo()
    assert item.objects == []


def test_models_without_classes_say_so():
    model = AnnotationModel(FakeSegmentor(), 'prompted')
    item = AnnotationSession(model).open(IMAGE, 'photo')
    with pytest.raises(UserError, match='knows classes, got prompted'):
        item.find_everything()
    with pytest.raises(UserError, match='frame: expected a number from 0 to 0'):
        item.find_everything(1)


def test_the_embedded_model_names_shapes():
    dataset = ShapesDataset('panoptic', split='val', seed=1)
    image = dataset.load(0)['clip'][0].permute(1, 2, 0).numpy()
    model = AnnotationModel(load_model('rap_sam_nano_shapes'), 'nano')
    item = AnnotationSession(model).open(image, 'drawn')
    assert model.names_everything
    assert len(item.find_everything()) >= 3
    labels = [one.label for one in item.objects]
    assert set(labels) <= set(model.classes)
    covered = np.zeros(image.shape[:2], dtype=int)
    for one in item.objects:
        covered += item.mask(one.object_id)
    assert covered.max() == 1
    assert (covered == 1).mean() > 0.7


def test_only_the_image_that_is_looked_at_is_in_memory(model, tmp_path):
    for name in 'abc':
        Image.fromarray(IMAGE).save(tmp_path / f'{name}.png')
    session = AnnotationSession(model)
    items = [session.item(one) for one in session.open_folder(tmp_path)]
    for item in items:
        item.add_click(item.add_object(), 10, 10)
    session.item(items[1].item_id).media.read(0)
    held = [sum(image.nbytes for image in item.media._held.values()) for item in items]
    assert held == [0, IMAGE.nbytes, 0]
    session.export('coco', tmp_path / 'out')
    assert not any(item.media._held for item in items)
    assert not any(
        isinstance(value, np.ndarray) for i in items for value in vars(i.media.source).values()
    )


def test_images_that_changed_are_named(model, tmp_path):
    Image.fromarray(IMAGE).save(tmp_path / 'a.png')
    session = AnnotationSession(model)
    item = session.open(tmp_path / 'a.png')
    session.release()
    Image.fromarray(IMAGE[:20]).save(tmp_path / 'a.png')
    for _ in range(2):
        with pytest.raises(UserError, match=r'a: frame 0: expected 60 x 40 .* got 60 x 20'):
            item.add_click(item.add_object(), 10, 10)
    (tmp_path / 'a.png').unlink()
    with pytest.raises(FileNotFoundError):
        item.media.read(0)


def test_phrases_find_every_instance_once():
    item = AnnotationSession(FakeAnnotationModel(finds=True)).open(IMAGE, 'photo')
    assert item.find(text='dark square') == [1, 2]
    assert [one.label for one in item.objects] == ['dark square'] * 2
    assert item.find(text='dark square') == []
    item.delete_object(1)
    assert item.find(text='dark square') == [3]
    assert item.find(text='light square') == [4, 5]
    assert item.find(box=[2, 2, 12, 12], label='square') == [6, 7]
    item.undo()
    assert len(item.objects) == 4
    with pytest.raises(UserError, match='find: expected a text or a box'):
        item.find()
