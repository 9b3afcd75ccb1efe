"""Prompts, memory and decoder, frame by frame."""

import copy
from dataclasses import replace

import pytest
import torch

from seg.models.heads.clip_frame import Frame
from seg.models.heads.clip_step import ClipStep
from seg.registry import MODELS
from seg.structures import Prompts, Task
from seg.testing.tiny_rapsam import tiny_prompted_cfg, tiny_video_cfg, toy_sample
from seg.utils.devices import as_if_ahead

SIZE = (64, 64)


def wake(head):
    """Give branches that start at zero something to say, so that their inputs matter."""
    torch.manual_seed(3)
    for parameter in head.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.3)
    return head


@pytest.fixture(scope='module')
def head():
    torch.manual_seed(0)
    return wake(MODELS.build(tiny_video_cfg()['head'])).eval()


def frame(batch_size=1, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return Frame(
        torch.randn(batch_size, 1, 16, 16, 16, generator=generator),
        torch.randn(batch_size, 1, 16, 4, 4, generator=generator),
        SIZE,
        [SIZE] * batch_size,
    )


def masks_of(*columns):
    masks = torch.zeros(len(columns), *SIZE)
    for row, column in enumerate(columns):
        masks[row, 16:48, column : column + 16] = 1
    return masks


def given(ids=(1, 2)):
    return Prompts.create(masks=masks_of(4, 36)[: len(ids)], object_ids=torch.tensor(ids))


@torch.no_grad()
def run(head, prompts, task=Task.VOS, num_frames=3, batch_size=1):
    """Answers to prompts per frame: a dict of frame -> list of prompts."""
    step = ClipStep(head, head.router.routes[task])
    states = [head.memory.start(frame().mask_features)] * batch_size
    answers = []
    for t in range(num_frames):
        answer, states = step(
            states, frame(batch_size, seed=t), prompts.get(t, [None] * batch_size)
        )
        answers.append(answer)
    return answers, states


def test_an_image_is_a_clip_of_one_frame(head):
    click = Prompts.create(points=torch.tensor([[[8.0, 8.0]], [[40.0, 40.0]]]))
    answers, _ = run(head, {0: [click]}, Task.INTERACTIVE_VIDEO, num_frames=1)
    _, sample = toy_sample('interactive_video', num_segments=2)
    sample.set_metainfo(dict(batch_input_shape=SIZE))
    sample.prompts = click
    features = frame()
    queries = head.encode_prompts(
        [click], [sample], features.mask_features, features.context_feats
    ).queries
    route = head.router.routes[Task.INTERACTIVE_VIDEO]
    plain = head(features.mask_features, features.context_feats, route, queries)[-1]

    torch.testing.assert_close(answers[0].mask_logits, plain.mask_logits[:, :, 0].detach())
    assert not answers[0].has_paths


def test_later_frames_are_answered_from_memory(head):
    answers, (state,) = run(head, {0: [given()]})

    assert [bool(answer.propagated.all()) for answer in answers] == [False, True, True]
    assert int(state.num_seen) == 3


@pytest.mark.parametrize('batch_size', [1, 2])
def test_unsure_objects_are_found_anew_and_others_are_not(head, monkeypatch, batch_size):
    prompts = {0: [given(), given((7,))][:batch_size]}
    refinement, decoded, searched = type(head.dual_path), [], []
    decode, search = ClipStep._decode, type(head.memory).find_again
    # Objects of vos compete, so one would change the other.
    settings = dict(task=Task.INTERACTIVE_VIDEO, num_frames=2, batch_size=batch_size)

    def watched(step, asked, *arguments, **paths):
        decoded[-1].append(asked.last.shape[1])
        return decode(step, asked, *arguments, **paths)

    def watched_search(memory, *arguments):
        searched[-1] += 1
        return search(memory, *arguments)

    monkeypatch.setattr(ClipStep, '_decode', watched)
    monkeypatch.setattr(type(head.memory), 'find_again', watched_search)
    monkeypatch.setattr(head.dual_path, 'margin', 0.0)  # paths of equal confidence weigh the same

    def follow(*unsure):
        decoded.append([])
        searched.append(0)
        rows = torch.tensor(unsure * batch_size)
        monkeypatch.setattr(refinement, 'is_unsure', lambda *_: rows)
        return run(head, prompts, **settings)[0]

    cases = [(False, False), (True, True), (False, True)]
    sure, everything, one = (follow(*unsure) for unsure in cases)
    assert decoded == [[2, 2], [2, 2, 2], [2, 2, 1]]
    assert searched == [0, batch_size, batch_size], 'nothing is read for what memory is sure of'
    with as_if_ahead():
        at_once = [follow(*unsure) for unsure in cases]
    assert decoded[3:] == [[2, 2]] * 3, 'both paths side by side'
    assert [answer.has_paths for answer in at_once[0]] == [False, True]
    for name in ('mask_logits', 'queries', 'scores'):
        values = [getattr(answers[1], name) for answers in (sure, everything, one)]
        for ours, answers in zip(values, at_once, strict=True):
            torch.testing.assert_close(getattr(answers[1], name), ours, atol=1e-5, rtol=1e-5)
        if name != 'scores':
            assert not torch.allclose(values[0][0, 1], values[1][0, 1], atol=1e-3), name
        torch.testing.assert_close(values[2][0, 1], values[1][0, 1], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(values[2][0, 0], values[0][0, 0])


@pytest.mark.parametrize('batch_size', [1, 2])
def test_objects_that_were_doubted_take_both_paths_at_once(head, monkeypatch, batch_size):
    prompts = {0: [given(), given((7,))][:batch_size]}
    unsure_of = [(False, True), (True, True), (True, False), (False, False), (False, True)]
    expected = [[(2, 0)], [(2, 0), (1, 0)], [(2, 1), (1, 0)], [(2, 2)], [(2, 1)], [(2, 0), (1, 0)]]
    decode, decoded = ClipStep._decode, []
    search, searched = type(head.memory).find_again, []
    monkeypatch.setattr(head.dual_path, 'margin', 0.0)

    def watched(step, asked, frame, second=None):
        decoded[-1].append((asked.last.shape[1], 0 if second is None else second.last.shape[1]))
        return decode(step, asked, frame, second)

    def follow():
        step = ClipStep(head, head.router.routes[Task.INTERACTIVE_VIDEO])
        states, answers = [head.memory.start(frame().mask_features)] * batch_size, []
        for t in range(len(unsure_of) + 1):
            # Of objects that were scored low where they were prompted.
            states = [replace(s, score_shift=torch.full_like(s.score_shift, 0.7)) for s in states]
            rows = torch.tensor(unsure_of[t - 1] * batch_size)
            monkeypatch.setattr(type(head.dual_path), 'is_unsure', lambda *_, r=rows: r)
            decoded.append([])
            searched.append(0)
            answer, states = step(
                states, frame(batch_size, seed=t), prompts.get(t, [None] * batch_size)
            )
            answers.append(answer)
        return answers

    def watched_search(memory, *arguments):
        searched[-1] += 1
        return search(memory, *arguments)

    monkeypatch.setattr(ClipStep, '_decode', watched)
    monkeypatch.setattr(type(head.memory), 'find_again', watched_search)
    with torch.no_grad():
        by_need = follow()
        assert decoded == expected
        assert searched == [0, *[batch_size] * 5], 'once, however often the decoder runs'
        with as_if_ahead():
            at_once = follow()
    for ours, reference in zip(by_need, at_once, strict=True):
        for name in ('mask_logits', 'queries', 'scores', 'iou_scores', 'unsure'):
            torch.testing.assert_close(
                getattr(ours, name), getattr(reference, name), atol=1e-4, rtol=1e-4
            )


def test_a_doubted_object_that_is_prompted_again_takes_one_path(head, monkeypatch):
    monkeypatch.setattr(type(head.dual_path), 'is_unsure', lambda *_: torch.tensor([True, True]))
    decode, decoded = ClipStep._decode, []

    def watched(step, asked, frame, second=None):
        decoded.append((asked.last.shape[1], 0 if second is None else second.last.shape[1]))
        return decode(step, asked, frame, second)

    monkeypatch.setattr(ClipStep, '_decode', watched)
    answers, (state,) = run(head, {0: [given()], 2: [given((2,))]})

    assert decoded == [(2, 0), (2, 0), (2, 0), (2, 1)], 'the last one beside one second path'
    assert answers[2].unsure.tolist() == [[True, False]]
    assert state.doubted.tolist() == [True, False]


def test_a_first_mask_stands_as_it_was_given(head):
    answers, _ = run(head, {0: [given()]}, num_frames=1)

    assert torch.equal(answers[0].mask_logits[0] > 0, masks_of(4, 36)[:, ::4, ::4] > 0)


def test_clips_of_a_batch_do_not_depend_on_each_other(head):
    step = ClipStep(head, head.router.routes[Task.VOS])
    frames = [frame(2, seed=t) for t in range(3)]

    def follow(rows, prompts):
        states = [head.memory.start(frames[0].mask_features)] * len(rows)
        for t, whole in enumerate(frames):
            part = Frame(
                whole.mask_features[rows], whole.context_feats[rows], SIZE, [SIZE] * len(rows)
            )
            with torch.no_grad():
                answer, states = step(states, part, prompts if t == 0 else [None] * len(rows))
        return answer.mask_logits

    prompts = [given(), given((7,))]
    both = follow([0, 1], prompts)
    torch.testing.assert_close(follow([0], prompts[:1])[0], both[0], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(follow([1], prompts[1:])[0], both[1, :1], atol=1e-4, rtol=1e-4)


def test_order_of_objects_changes_nothing(head):
    answers, _ = run(head, {0: [given()]})
    turned, _ = run(head, {0: [given()[[1, 0]]]})

    torch.testing.assert_close(
        turned[2].mask_logits[0].flip(0), answers[2].mask_logits[0], atol=1e-4, rtol=1e-4
    )


def test_objects_can_be_added_and_corrected_later(head):
    click = Prompts.create(points=torch.tensor([[[50.0, 20.0]]]), object_ids=torch.tensor([5]))
    correction = replace(click, object_ids=torch.tensor([1]))
    plain, _ = run(head, {0: [given()]}, Task.INTERACTIVE_VIDEO)
    added, (state,) = run(head, {0: [given()], 1: [click]}, Task.INTERACTIVE_VIDEO)
    corrected, _ = run(head, {0: [given()], 1: [correction]}, Task.INTERACTIVE_VIDEO)

    assert state.object_ids.tolist() == [1, 2, 5]
    torch.testing.assert_close(
        added[1].mask_logits[:, :2], plain[1].mask_logits, atol=1e-4, rtol=1e-4
    )
    assert not torch.allclose(corrected[1].mask_logits[0, 0], plain[1].mask_logits[0, 0])
    torch.testing.assert_close(
        corrected[1].mask_logits[0, 1], plain[1].mask_logits[0, 1], atol=1e-4, rtol=1e-4
    )
    assert state.first_prompted.nonzero().tolist() == [[0, 0], [0, 1], [1, 2]]


def test_frames_without_objects_go_by(head):
    answers, (state,) = run(head, {2: [given()]})

    assert answers[0].mask_logits.shape[1] == 0
    assert answers[2].active.all()
    assert state.frame_index.tolist() == [2]


def test_texts_are_remembered(head):
    text = Prompts.create(texts=('the left bar',))
    _, (state,) = run(head, {0: [text]}, Task.INTERACTIVE_VIDEO, num_frames=2)

    assert state.texts.any()


@pytest.mark.parametrize(('bias', 'score'), [(3.0, 0.953), (-1.0, 0.731), (-4.0, 0.119)])
def test_scores_are_read_against_that_of_the_prompted_frame(head, bias, score):
    """On other data than it was trained on, all scores may be low; prompted objects are there."""
    plain = copy.deepcopy(head)
    last = plain.memory.score_mlp[-1]
    torch.nn.init.zeros_(last.weight)
    torch.nn.init.constant_(last.bias, bias)
    answers, (state,) = run(plain, {0: [given()], 2: [given((7,))]})

    assert answers[1].scores[0].tolist() == pytest.approx([score, score], abs=1e-3)
    assert state.score_shift.tolist() == pytest.approx([min(max(1 - bias, 0), 2)] * 3)
    assert answers[1].score_logits[0, :2].tolist() == pytest.approx([bias, bias])


def test_an_object_returns_at_another_score_than_it_stays(head):
    plain = copy.deepcopy(head)
    plain.memory.return_score = 0.3
    last = plain.memory.score_mlp[-1]
    torch.nn.init.zeros_(last.weight)
    torch.nn.init.constant_(last.bias, -2.4)  # a score of 0.4 with the largest shift
    answers, _ = run(plain, {0: [given()]})

    assert [answer.visible[0].tolist() for answer in answers] == [
        [True, True],  # prompted
        [False, False],
        [True, True],
    ]


def test_memory_matters(head):
    answers, _ = run(head, {0: [given()]})
    other, _ = run(head, {0: [Prompts.create(masks=masks_of(20, 44))]})

    assert not torch.allclose(answers[2].mask_logits, other[2].mask_logits, atol=1e-3)


def test_a_head_without_fusion_has_no_memory():
    cfg = tiny_video_cfg()['head']
    cfg['prompt_encoder'] = dict(type='PromptEncoder')

    with pytest.raises(ValueError, match='memory: expected a prompt encoder'):
        MODELS.build(cfg)


def test_two_paths_need_a_memory():
    with pytest.raises(ValueError, match='dual_path: expected none'):
        MODELS.build(tiny_prompted_cfg(dual_path=dict(type='DualPathRefinement'))['head'])


def test_one_path_alone_works_too():
    torch.manual_seed(0)
    single = MODELS.build(tiny_video_cfg(dual_path=None)['head']).eval()
    answers, _ = run(single, {0: [given()]})

    assert not any(answer.has_paths for answer in answers)


def test_clicks_are_obeyed_and_remembered_so():
    head = wake(
        MODELS.build(tiny_video_cfg(click_keeper=dict(type='ClickKeeper', margin=2.0))['head'])
    ).eval()
    points = torch.tensor([[[20.5, 20.5], [40.5, 40.5]], [[40.5, 20.5], [20.5, 40.5]]])
    rows = Prompts.create(points=points, point_labels=torch.tensor([[1, 0], [1, 0]]))
    (answer,), states = run(head, {0: [rows]}, task=Task.INTERACTIVE_VIDEO, num_frames=1)
    torch.testing.assert_close(states[0].last_masks, answer.mask_logits[0].sigmoid())
    full = torch.nn.functional.interpolate(answer.mask_logits, size=SIZE, mode='bilinear')[0]
    read = torch.stack([m[p[:, 1], p[:, 0]] for m, p in zip(full, points.long(), strict=True)])
    assert ((read > 0) == torch.tensor([[True, False], [True, False]])).all()
