import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from seg.apis import ImageInput, Inferencer
from seg.apis.model_zoo import ModelEntry
from seg.apis.overlapped import Upload
from seg.apis.prompt_checks import check_prompts
from seg.apis.prompt_input import make_prompts
from seg.apis.test_pipeline import build_test_transforms
from seg.structures import Prompts
from seg.testing.fake_segmentor import FakeSegmentor

RESIZE = [dict(type='TestResize', scale=(64, 64), keep_ratio=False), dict(type='PackClip')]


@pytest.fixture
def inferencer():
    return Inferencer(FakeSegmentor(test_pipeline=RESIZE))


def picture(height=40, width=60):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def save(path, array, **options):
    Image.fromarray(array).save(path, **options)
    return path


def test_an_array_comes_back_at_its_own_size(inferencer):
    (result,) = inferencer(picture())
    assert result.panoptic.segment_map.shape == (1, 40, 60)
    assert inferencer.model.seen_shapes == [[(1, 3, 64, 64)]]
    assert result.path is None


def test_the_semantic_map_holds_class_indices(inferencer):
    (result,) = inferencer(picture())
    assert (result.semantic_map[:, :30] == 0).all()
    assert (result.semantic_map[:, 30:] == 8).all()


def test_void_is_minus_one_in_the_semantic_map(inferencer):
    (result,) = inferencer(picture())
    result.panoptic.segment_map[0, 0, 0] = 0
    assert result.semantic_map[0, 0] == -1


def test_instances_have_the_size_of_the_image(inferencer):
    (result,) = inferencer(picture())
    assert result.instances.masks.shape == (1, 1, 40, 60)


def test_clicks_are_pixels_of_the_original_image(inferencer):
    (result,) = inferencer(picture(), 'interactive_image', points=[[[15, 30]], [[50, 10]]])
    assert result.masks.shape == (2, 40, 60)
    assert result.masks[0, 30, 15]
    assert result.masks[1, 10, 50]
    assert not result.masks[0, 10, 50]
    assert result.sample.prompts.point_coords[0, 0].tolist() == [16, 48]
    assert result.iou_scores.tolist() == pytest.approx([0.9, 0.5])


def test_a_folder_is_read_in_the_order_of_names(inferencer, tmp_path):
    for name in ('b.png', 'a.JPG', 'c.png'):
        save(tmp_path / name, picture())
    (tmp_path / 'notes.txt').write_text('no image')
    (tmp_path / 'deeper').mkdir()
    save(tmp_path / 'deeper' / 'd.png', picture())
    names = [result.path.name for result in inferencer(tmp_path, batch_size=2)]
    assert names == ['a.JPG', 'b.png', 'c.png']
    assert [len(batch) for batch in inferencer.model.seen_shapes] == [2, 1]


def test_files_and_arrays_mix_in_a_list(inferencer, tmp_path):
    path = save(tmp_path / 'a.png', picture())
    results = list(inferencer([str(path), picture(20, 20)]))
    assert [result.image.shape for result in results] == [(40, 60, 3), (20, 20, 3)]


@pytest.mark.parametrize(
    'array',
    [
        np.full((12, 20), 200, np.uint8),
        np.full((12, 20, 4), 200, np.uint8),
        np.full((12, 20), 40000, np.uint16),
    ],
    ids=['grey', 'RGBA', '16-bit'],
)
def test_other_kinds_of_images_are_read(inferencer, tmp_path, array):
    (result,) = inferencer(save(tmp_path / 'a.png', array))
    assert result.image.shape == (12, 20, 3)


def test_a_rotated_photograph_is_turned_upright(inferencer, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = save(tmp_path / 'a.jpg', picture(40, 60), exif=exif)
    (result,) = inferencer(path)
    assert result.image.shape == (60, 40, 3)


def test_a_bad_file_is_named(inferencer, tmp_path):
    save(tmp_path / 'a.png', picture())
    (tmp_path / 'b.png').write_bytes(b'')
    results = inferencer(tmp_path)
    next(results)
    with pytest.raises(ValueError, match=r'b\.png.*0 bytes'):
        next(results)


def test_bad_files_can_be_skipped_with_a_warning(inferencer, tmp_path, caplog):
    (tmp_path / 'a.png').write_bytes(b'\x89PNG broken')
    save(tmp_path / 'b.png', picture())
    results = list(inferencer(tmp_path, on_error='skip'))
    assert [result.path.name for result in results] == ['b.png']
    assert 'a.png' in caplog.text


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (dict(task='panoptik'), "unknown task 'panoptik'.*Did you mean 'panoptic'"),
        (dict(task='vos'), 'a task on images'),
        (dict(task='interactive_image'), 'points, boxes, masks or texts'),
        (dict(points=[[[1, 1]]]), 'use the task interactive_image'),
        (dict(batch_size=0), 'batch_size'),
        (dict(on_error='ignore'), "unknown on_error 'ignore'"),
        (dict(task='interactive_image', points=[[1, 1]]), r'shape \(N, P, 2\)'),
        (dict(task='interactive_image', point_labels=[[1]]), 'got no points'),
    ],
)
def test_wrong_requests_fail_before_anything_runs(inferencer, settings, message):
    with pytest.raises(ValueError, match=message):
        inferencer(picture(), **settings)
    assert not inferencer.model.seen_shapes


@pytest.mark.parametrize('point', [(60, 10), (-1, 10), (10, 40)])
def test_a_point_outside_is_named_with_the_size(inferencer, point):
    with pytest.raises(ValueError, match='inside the image of 60 x 40 pixels'):
        list(inferencer(picture(), 'interactive_image', points=[[point]]))


def test_prompts_the_model_does_not_know_are_refused():
    for prompts, kind in (
        (make_prompts([[[1, 1]]], [[0]]), 'negative clicks'),
        (make_prompts([[[1, 1], [2, 2]]]), 'several clicks'),
        (Prompts.create(boxes=[[1.0, 1, 5, 5]]), 'boxes'),
        (Prompts.create(texts=['a star']), 'texts'),
    ):
        with pytest.raises(ValueError, match=f'one positive click per object.*{kind}'):
            check_prompts(prompts, (10, 10), {'click'})


def test_prompts_the_model_knows_are_accepted():
    check_prompts(
        make_prompts([[[1, 1], [2, 2]]], [[1, 0]]), (9, 9), {'multi_click', 'negative_click'}
    )
    check_prompts(make_prompts([[[1, 1], [99, 99]]], [[1, -1]]), (9, 9), {'click'})


def test_the_zoo_says_which_tasks_a_model_knows():
    config = 'rap_sam/rap_sam_nano_quick_shapes.py'  # images alone
    entry = ModelEntry('painter', config=config, weights='none.safetensors', knows='pictures')
    inferencer = Inferencer(FakeSegmentor(test_pipeline=RESIZE, entry=entry))
    with pytest.raises(ValueError, match='expected one that painter knows'):
        inferencer(picture(), 'vos')


def test_images_may_have_prompts_of_their_own(inferencer):
    items = [
        ImageInput(picture(), prompts=make_prompts([[[5, 5]]])),
        ImageInput(picture(), prompts=make_prompts([[[30, 20]], [[9, 9]]])),
    ]
    first, second = inferencer.predict(items, 'interactive_image')
    assert (len(first.masks), len(second.masks)) == (1, 2)


def test_a_missing_input_is_named(inferencer, tmp_path):
    with pytest.raises(FileNotFoundError, match='nowhere'):
        inferencer(tmp_path / 'nowhere')


def test_an_array_of_floats_is_refused(inferencer):
    with pytest.raises(ValueError, match='uint8 RGB'):
        list(inferencer(np.zeros((4, 4, 3))))


def test_a_config_without_test_data_is_named():
    model = FakeSegmentor()
    model.cfg = Config(dict(model=dict(type='FakeSegmentor')))
    with pytest.raises(ValueError, match=r'test_dataloader\.dataset\.pipeline'):
        Inferencer(model)


def test_simulated_clicks_of_a_mixture_are_left_out():
    pipeline = [dict(type='InteriorClickPrompts'), *RESIZE]
    sources = dict(a=dict(pipeline=pipeline), b=dict(pipeline=[]))
    cfg = Config(dict(val_dataloader=dict(dataset=dict(sources=sources))))
    names = [type(step).__name__ for step in build_test_transforms(cfg)]
    assert names == ['TestResize', 'PackClip']


def test_pictures_go_to_the_device_of_the_model_as_bytes(inferencer, monkeypatch):
    uploads = []

    def watched(image, device):
        uploads.append((image.dtype, device))
        return Upload(image, device)

    monkeypatch.setattr('seg.apis.inferencer.Upload', watched)
    list(inferencer([picture(), picture()], batch_size=2))

    assert uploads == [(np.uint8, torch.device('cpu'))] * 2
