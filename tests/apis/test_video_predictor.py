"""Sessions on videos: prompts on any frame, corrections, files, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from seg.apis import VideoPredictor
from seg.apis.video_session import masks_of_id_map
from seg.apis.video_sources import ArraySource
from seg.structures import Prompts
from seg.testing.tiny_rapsam import model_for_programs, tiny_prompted_cfg, tiny_video_cfg
from seg.utils.checks import UserError
from seg.utils.devices import as_if_ahead

HEIGHT, WIDTH = 48, 64


@pytest.fixture(scope='module')
def predictor():
    return VideoPredictor(model_for_programs(tiny_video_cfg()))


def frames(count=4, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, HEIGHT, WIDTH, 3), dtype=np.uint8)


def box_mask():
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[8:30, 10:40] = True
    return mask


def rows(ids=(3,), frame_index=0):
    return Prompts.create(
        points=torch.tensor([[[20.0, 20.0]]] * len(ids)),
        object_ids=torch.tensor(ids),
        frame_index=frame_index,
    )


def same(first, second):
    return np.array_equal(first.masks, second.masks) and np.allclose(first.scores, second.scores)


def test_a_session_answers_frame_by_frame(predictor):
    session = predictor.start(HEIGHT, WIDTH)
    session.add_prompts(7, points=[[20, 20]])
    results = [session.step(frame) for frame in frames()]

    assert [result.frame_index for result in results] == [0, 1, 2, 3]
    assert results[3].object_ids.tolist() == [7]
    assert results[3].masks.shape == (1, HEIGHT, WIDTH)
    assert set(np.unique(results[3].id_map)) <= {0, 7}


def test_a_session_tells_what_its_memory_doubts(predictor, monkeypatch):
    refinement = predictor.model.head.dual_path
    session = predictor.start(HEIGHT, WIDTH)
    assert session.doubted_ids == []
    session.add_rows(rows((4, 9)))
    doubted = []
    for frame, unsure in zip(frames(), ([], [True, False], [True, True], [False] * 2), strict=True):
        monkeypatch.setattr(refinement, 'is_unsure', lambda *_, u=unsure: torch.tensor(u))
        session.step(frame)
        doubted.append(session.doubted_ids)

    assert doubted == [[], [4], [4, 9], []], 'objects are given on the first frame'


@pytest.mark.parametrize('kind', ['array', 'list', 'iterator', 'folder', 'file'])
def test_all_sources_give_the_same(predictor, kind, tmp_path):
    images = frames()
    sources = {'array': images, 'list': list(images), 'iterator': iter(images)}
    if kind == 'folder':
        write_folder(tmp_path, images)
        sources[kind] = tmp_path
    if kind == 'file':
        sources[kind] = write_video(tmp_path / 'clip.mp4', images)
    results = list(predictor.propagate(sources[kind], prompts=rows()))
    assert [result.frame_index for result in results] == [0, 1, 2, 3]
    if kind == 'file':
        return  # encoded with loss
    expected = list(predictor.propagate(images, prompts=rows()))
    assert all(same(a, b) for a, b in zip(results, expected, strict=True))


def write_folder(folder, images):
    from PIL import Image

    for index, image in enumerate(images):
        Image.fromarray(image).save(folder / f'{index:05d}.png')


def write_video(path, images):
    from seg.visualization.video_writer import VideoWriter

    with VideoWriter(path, frames_per_second=10) as writer:
        for image in images:
            writer.write(image)
    return path


@pytest.mark.parametrize('task', ['vos', 'interactive_video'])
def test_a_device_that_runs_ahead_gives_the_same(predictor, task):
    points = torch.tensor([[[50.0, 9.0]], [[9.0, 40.0]]])
    later = replace(rows((5, 9), frame_index=3), point_coords=points)
    images, prompts = frames(8), Prompts.concatenate([rows(), later])
    expected = list(predictor.propagate(images, prompts=prompts, task=task))
    with as_if_ahead():
        found = list(predictor.propagate(images, prompts=prompts, task=task))

    assert [result.frame_index for result in found] == list(range(8))
    assert all(same(a, b) for a, b in zip(found, expected, strict=True))
    if task == 'vos':  # elsewhere masks overlap, and these nearly tie
        assert all(np.array_equal(a.id_map, b.id_map) for a, b in zip(found, expected, strict=True))
    assert found[-1].object_ids.tolist() == [3, 5, 9]


def test_only_videos_of_known_length_are_gone_through_a_frame_ahead(predictor):
    asked = []

    def stream(images):
        for index, image in enumerate(images):
            asked.append(index)
            yield image

    with as_if_ahead():
        live = predictor.propagate(stream(frames()), prompts=rows())
        assert next(live).frame_index == 0
        assert asked == [0]
        session = predictor.start(HEIGHT, WIDTH)
        session.add_prompts(1, points=[[20, 20]])
        for result in predictor.propagate(frames(), session):
            assert session.frame_index == result.frame_index + 1, 'it can be corrected'


def test_answers_before_a_broken_frame_come_out(predictor, tmp_path):
    images = frames()
    write_folder(tmp_path, images)
    (tmp_path / '00002.png').write_bytes(b'nothing')
    with as_if_ahead():
        results = predictor.propagate(tmp_path, prompts=rows())
        assert [next(results).frame_index for _ in range(2)] == [0, 1]
        with pytest.raises(UserError, match='frame 2'):
            next(results)


def test_objects_come_and_go(predictor):
    session = predictor.start(HEIGHT, WIDTH)
    session.add_prompts(1, mask=box_mask())
    session.add_prompts(2, box=[30, 10, 60, 40], frame_index=1)
    images = frames()

    assert session.object_ids == [1, 2]
    assert session.step(images[0]).object_ids.tolist() == [1]
    assert session.step(images[1]).object_ids.tolist() == [1, 2]
    session.remove_object(1)
    assert session.step(images[2]).object_ids.tolist() == [2]


def test_a_correction_answers_the_last_frame_anew(predictor):
    images = frames()
    session = predictor.start(HEIGHT, WIDTH)
    session.add_prompts(1, points=[[20, 20]])
    session.step(images[0])
    first = session.step(images[1])
    corrected = session.correct(1, points=[[50, 40]], point_labels=[0])
    after = session.step(images[2])

    assert corrected.frame_index == first.frame_index == 1
    assert after.frame_index == 2
    assert int(session._state.num_seen) == 3


@pytest.mark.parametrize('rounds', [0, 1])
def test_clicks_at_once_equal_clicks_in_turn(rounds):
    model = model_for_programs(tiny_video_cfg(correction_rounds=rounds))
    torch.manual_seed(0)
    for parameter in model.head.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.3)
    predictor, images = VideoPredictor(model), frames()

    def follow(in_turn):
        session = predictor.start(HEIGHT, WIDTH)
        session.add_prompts(1, box=[5, 5, 30, 40])
        session.add_prompts(2, points=[[50, 40], [20, 20]][in_turn:], point_labels=[0, 1][in_turn:])
        first = session.step(images[0])
        if in_turn:
            first = session.correct(2, points=[[50, 40]], point_labels=[0])
        return first, session.step(images[1])

    at_once, in_turn = follow(in_turn=False), follow(in_turn=True)
    alike = [same(a, b) for a, b in zip(at_once, in_turn, strict=True)]
    assert alike == [rounds > 0] * 2


def test_corrections_keep_what_else_was_said_on_the_frame(predictor):
    images = frames()
    session = predictor.start(HEIGHT, WIDTH)
    session.add_prompts(1, points=[[20, 20]])
    session.add_prompts(2, mask=box_mask())
    session.step(images[0])
    once = session.correct(1, points=[[50, 40]], point_labels=[0])
    twice = session.correct(2, points=[[15, 15]])

    assert once.object_ids.tolist() == twice.object_ids.tolist() == [1, 2]
    assert np.array_equal(once.masks[0], twice.masks[0])
    assert session._last.question.rows[1].point_labels.tolist() == [[1, 0]]
    assert not session._last.question.rows[2].has_mask.any()  # the click mends the mask
    session.remove_object(2)
    assert session.correct(3, box=[30, 10, 60, 40]).object_ids.tolist() == [1, 3]


def test_frames_before_the_first_prompt_have_no_objects(predictor):
    session = predictor.start(HEIGHT, WIDTH)
    session.add_prompts(4, points=[[20, 20]], frame_index=2)
    results = [session.step(image) for image in frames()]

    assert [result.object_ids.tolist() for result in results] == [[], [], [4], [4]]
    assert not results[0].id_map.any()
    alone = predictor.start(HEIGHT, WIDTH)
    alone.add_prompts(4, points=[[20, 20]])
    assert same(alone.step(frames()[2]), results[2])


def test_a_saved_session_goes_on_alike(predictor, tmp_path):
    images = frames()
    session = predictor.start(HEIGHT, WIDTH)
    session.add_prompts(1, points=[[20, 20]])
    session.add_prompts(2, mask=box_mask(), text='the left bar', frame_index=3)
    for image in images[:2]:
        session.step(image)
    session.save(tmp_path / 'a.safetensors')
    again = predictor.load(tmp_path / 'a.safetensors')

    assert again.object_ids == [1, 2]
    for image in images[2:]:
        assert same(again.step(image), session.step(image))


def test_a_new_session_can_be_saved(predictor, tmp_path):
    predictor.start(HEIGHT, WIDTH).save(tmp_path / 'a.safetensors')

    assert predictor.load(tmp_path / 'a.safetensors').object_ids == []


def test_backwards_goes_from_the_last_prompted_frame_to_the_first(predictor, tmp_path):
    images = frames(5)
    results = list(predictor.propagate(images, prompts=rows(frame_index=3), backward=True))
    turned = list(predictor.propagate(images[3::-1], prompts=rows()))

    assert [result.frame_index for result in results] == [3, 2, 1, 0]
    assert all(same(a, b) for a, b in zip(results, turned, strict=True))
    path = write_video(tmp_path / 'clip.mp4', images)
    results = list(predictor.propagate(path, prompts=rows(frame_index=3), backward=True))
    assert [result.frame_index for result in results] == [3, 2, 1, 0]


def test_both_ways_are_one_result_in_order(predictor):
    """Two objects, the second prompted later: each is followed from its own first prompt."""
    images = frames(5)
    prompts = Prompts.create(
        points=torch.tensor([[[20.0, 20.0]], [[50.0, 30.0]]]),
        object_ids=torch.tensor([3, 8]),
        frame_index=torch.tensor([1, 3]),
    )
    results = list(predictor.propagate_both_ways(images, prompts))
    forwards = {r.frame_index: r for r in predictor.propagate(images, prompts=prompts)}
    backwards = {
        r.frame_index: r for r in predictor.propagate(images, prompts=prompts, backward=True)
    }

    assert [result.frame_index for result in results] == [0, 1, 2, 3, 4]
    for result in results:
        index, ids = result.frame_index, result.object_ids.tolist()
        for object_id, first in ((3, 1), (8, 3)):
            expected = forwards[index] if index >= first else backwards[index]
            known = expected.object_ids.tolist()
            assert (object_id in ids) == (object_id in known)
            if object_id in known:
                mask = result.masks[ids.index(object_id)]
                assert np.array_equal(mask, expected.masks[known.index(object_id)])
        assert np.array_equal(result.image, images[index])
        assert set(np.unique(result.id_map)) <= {0, *ids}
    assert 8 in results[0].object_ids  # as seen backwards


def test_both_ways_with_broken_frames(predictor, tmp_path):
    write_folder(tmp_path, frames(5))
    (tmp_path / '00001.png').write_bytes(b'no picture')
    (tmp_path / '00003.png').write_bytes(b'no picture')
    prompts = rows(frame_index=2)
    with pytest.raises(UserError, match=r'frame 1: .*00001\.png'):
        list(predictor.propagate_both_ways(tmp_path, prompts))
    results = predictor.propagate_both_ways(tmp_path, prompts, skip_bad_frames=True)

    assert [result.frame_index for result in results] == [0, 2, 4]


def test_a_stream_cannot_be_followed_both_ways(predictor):
    with pytest.raises(UserError, match='to go through backwards, got an iterator'):
        list(predictor.propagate_both_ways(iter(frames()), rows()))


def test_errors_on_the_way_back_name_the_frames_of_the_video(predictor):
    images = list(frames(6))
    images[1] = images[1][:32]
    with pytest.raises(UserError, match='frame 1: expected 64 x 48 pixels'):
        list(predictor.propagate(images, prompts=rows((1,), 5), backward=True))

    images[5] = None
    settings = dict(backward=True, skip_bad_frames=True)
    with pytest.raises(UserError, match=r'frame 5: .*got None; there are prompts on it'):
        list(predictor.propagate(images, prompts=rows((1,), 5), **settings))


def test_a_frame_that_is_read_in_one_direction_alone(predictor, caplog):
    images = frames(5)

    class OneWay(ArraySource):
        def backwards(self, start):
            for read in super().backwards(start):
                yield read if read.index != 1 else replace(read, image=None, error=UserError('no'))

    source, prompts = OneWay(images), Prompts.concatenate([rows((1,), 3), rows((2,), 4)])
    results = list(predictor.propagate_both_ways(source, prompts, skip_bad_frames=True))

    assert [result.frame_index for result in results] == [0, 2, 3, 4]
    assert 'frame 1: could not be read on the way back' in caplog.text


def test_bad_frames_at_the_end_go_by(predictor):
    session = predictor.start(HEIGHT, WIDTH)
    session.add_rows(rows((1,)))
    images = [*frames(2), None]
    results = list(predictor.propagate(images, session, skip_bad_frames=True))

    assert len(results) == 2
    assert session.frame_index == 3


def test_prompts_behind_the_end_of_a_stream_are_told(predictor, caplog):
    prompts = Prompts.concatenate([rows((1,)), rows((2,), 30)])
    results = list(predictor.propagate(iter(frames(3)), prompts=prompts))

    assert len(results) == 3
    assert 'prompts on frame 30: the video ended before' in caplog.text


def test_an_object_of_which_nothing_is_remembered_stays_listed(predictor):
    session = predictor.start(HEIGHT, WIDTH, task='vos')
    dot = np.zeros((HEIGHT, WIDTH), bool)
    dot[20, 20] = True
    session.add_prompts(1, mask=dot)
    session.add_prompts(2, mask=box_mask())
    first, second = (session.step(frame) for frame in frames(2))

    assert not session._state.known[0]
    assert not session._state.prompted[:, 0].any(), 'a frame that shows nothing need not be kept'
    assert first.object_ids.tolist() == second.object_ids.tolist() == [1, 2]
    assert not second.visible[0]
    assert second.scores[0] == 0
    assert not second.masks[0].any()


def test_frames_may_be_views_and_ids_numbers_of_arrays(predictor):
    images = frames(2)
    results = []
    for given in (images[..., ::-1], images[..., ::-1].copy()):
        session = predictor.start(HEIGHT, WIDTH)
        session.add_prompts(np.int64(1), points=[[20, 20]])
        session.step(given[0])
        results.append(session.correct(np.int64(1), points=[[30, 20]]))

    assert same(*results)


def test_the_state_does_not_grow(predictor):
    session = predictor.start(HEIGHT, WIDTH)
    session.add_prompts(1, points=[[20, 20]])
    sizes = []
    for image in frames(12):
        session.step(image)
        tensors = session._state.state_dict().values()
        sizes.append(sum(tensor.numel() for tensor in tensors))

    assert sizes[-1] == sizes[-4]


def test_vos_masks_are_exact_and_never_overlap(predictor):
    session = predictor.start(HEIGHT, WIDTH, task='vos')
    other = np.zeros((HEIGHT, WIDTH), bool)
    other[8:30, 44:60] = True
    session.add_prompts(1, mask=box_mask())
    session.add_prompts(2, mask=other)
    session.step(frames()[0])
    result = session.step(frames()[1])

    assert result.masks.sum(axis=0).max() <= 1


REFUSED = {
    'a step before any prompt': (lambda s: s.step(frames()[0]), 'expected prompts before'),
    'nothing said': (lambda s: s.add_prompts(1), 'got none of them'),
    'a bad id': (lambda s: s.add_prompts(0, points=[[1, 1]]), 'whole number from 1'),
    'an id that maps cannot hold': (
        lambda s: s.add_prompts(2**31, points=[[1, 1]]),
        'object_id: expected a whole number from 1 to 2147483647, got 2147483648',
    ),
    'no whole frame': (
        lambda s: s.add_prompts(1, points=[[1, 1]], frame_index=1.5),
        'frame_index: expected a whole number from 0',
    ),
    'background in rows': (lambda s: s.add_rows(rows((0,))), 'object_ids: expected a whole number'),
    'a row without words': (
        lambda s: s.add_rows(Prompts.create(texts=[' '])),
        r'texts\[0\]: expected words',
    ),
    'a row with an empty mask': (
        lambda s: s.add_rows(Prompts.create(masks=torch.zeros(1, HEIGHT, WIDTH))),
        'got an empty one',
    ),
    'a row with a mask of bytes': (
        lambda s: s.add_rows(Prompts.create(masks=torch.full((1, HEIGHT, WIDTH), 7.0))),
        r'probabilities in \[0, 1\]',
    ),
    'no picture': (lambda s: s.step(None), 'got a NoneType'),
    'a point outside': (lambda s: s.add_prompts(1, points=[[99, 1]]), 'inside the image'),
    'a mask of another size': (
        lambda s: s.add_prompts(1, mask=np.ones((4, 4), bool)),
        'expected the size of the image',
    ),
    'an object never added': (lambda s: s.remove_object(5), 'object_id 5: expected an object'),
    'a correction of nothing': (lambda s: s.correct(1, points=[[1, 1]]), 'call step first'),
    'a foreign file': (lambda s: s.save('a.txt'), 'safetensors'),
}


@pytest.mark.parametrize('name', REFUSED)
def test_what_is_refused_leaves_the_session_usable(predictor, name):
    call, message = REFUSED[name]
    session = predictor.start(HEIGHT, WIDTH)
    with pytest.raises(UserError, match=message):
        call(session)
    session.add_prompts(1, points=[[20, 20]])

    assert same(session.step(frames()[0]), next(predictor.propagate(frames(), prompts=rows((1,)))))


def test_another_size_in_the_middle_is_named_and_the_session_goes_on(predictor):
    session = predictor.start(HEIGHT, WIDTH)
    session.add_prompts(1, points=[[20, 20]])
    session.step(frames()[0])
    with pytest.raises(UserError, match=r'frame 1: expected 64 x 48 pixels.*got 32 x 32'):
        session.step(np.zeros((32, 32, 3), np.uint8))

    assert session.step(frames()[1]).frame_index == 1


def test_a_past_frame_cannot_be_prompted(predictor):
    session = predictor.start(HEIGHT, WIDTH)
    session.add_prompts(1, points=[[20, 20]])
    session.step(frames()[0])
    with pytest.raises(UserError, match=r'frame_index 0: expected the next frame, 1'):
        session.add_prompts(1, points=[[20, 20]], frame_index=0)


def test_a_broken_frame_is_named_and_skipped_on_request(predictor, tmp_path):
    write_folder(tmp_path, frames())
    (tmp_path / '00002.png').write_bytes(b'no picture')
    with pytest.raises(UserError, match=r'frame 2: .*00002\.png'):
        list(predictor.propagate(tmp_path, prompts=rows()))
    results = predictor.propagate(tmp_path, prompts=rows(), skip_bad_frames=True)

    assert [result.frame_index for result in results] == [0, 1, 3]


@pytest.mark.parametrize(
    ('source', 'message'),
    [
        (np.zeros((0, 48, 64, 3), np.uint8), 'at least one frame'),
        (iter(()), 'at least one frame'),
        ([np.zeros((48, 64), np.uint8)], r'frame 0: expected \(H, W, 3\)'),
        (5, 'expected a file, a folder'),
    ],
)
def test_sources_without_frames(predictor, source, message):
    with pytest.raises(UserError, match=message):
        list(predictor.propagate(source, prompts=rows()))


def test_a_missing_file(predictor):
    with pytest.raises(FileNotFoundError, match='found nothing there'):
        predictor.propagate('no/such.mp4', prompts=rows())


def test_a_model_without_memory():
    with pytest.raises(UserError, match='streaming memory'):
        VideoPredictor(model_for_programs(tiny_prompted_cfg()))


def test_a_session_of_another_model(predictor, tmp_path):
    session = predictor.start(HEIGHT, WIDTH)
    session.add_prompts(1, points=[[20, 20]])
    session.step(frames()[0])
    session.save(tmp_path / 'a.safetensors')
    cfg = tiny_video_cfg()
    cfg['head']['memory']['reader']['key_channels'] = 4

    with pytest.raises(UserError, match='expected a memory of'):
        VideoPredictor(model_for_programs(cfg)).load(tmp_path / 'a.safetensors')


def test_a_session_of_a_model_with_another_memory(predictor, tmp_path):
    session = predictor.start(HEIGHT, WIDTH)
    session.add_rows(rows())
    session.step(frames()[0])
    session.save(tmp_path / 'a.safetensors')
    cfg = tiny_video_cfg()
    cfg['head']['memory']['reader'].update(stride=1)
    with pytest.raises(UserError, match='load it with the model that saved it'):
        VideoPredictor(model_for_programs(cfg)).load(tmp_path / 'a.safetensors')


def test_a_session_that_has_seen_nothing_yet_is_saved(predictor, tmp_path):
    session = predictor.start(HEIGHT, WIDTH)
    session.skip_frame()
    session.save(tmp_path / 'a.safetensors')

    assert predictor.load(tmp_path / 'a.safetensors').frame_index == 1


def test_first_masks_from_a_map_of_ids():
    id_map = np.array([[0, 3], [255, 7]])

    assert sorted(masks_of_id_map(id_map)) == [3, 7]
    with pytest.raises(UserError, match=r'expected the ids of objects .* got \[0, 255\]'):
        masks_of_id_map(np.array([[0, 255]]))
