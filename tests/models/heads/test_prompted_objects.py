"""Every kind of prompt through the head: what changes what, what is trained, what is refused."""

from dataclasses import replace

import pytest
import torch

from seg.models.heads.prompt_training import PromptTraining
from seg.models.heads.spoken_texts import SpokenTexts
from seg.models.prompts import MaskTokens
from seg.registry import MODELS
from seg.structures import Prompts, Task
from seg.testing.tiny_rapsam import tiny_prompted_cfg, toy_sample
from seg.utils.checks import UserError

NAN = float('nan')
WEIGHTS = dict(
    interactive_image=dict(cls=1, mask=5, dice=5, iou=10, prompt_align=0.5, text_visual=0.3)
)


def make_head(**settings):
    return MODELS.build(
        tiny_prompted_cfg(**{'task_loss_weights': WEIGHTS, **settings})['head']
    ).eval()


def wake(head):
    """Give branches that start at zero something to say, so that their inputs matter."""
    torch.manual_seed(3)
    for parameter in head.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.5)
    return head


def make_batch(prompts, num_segments=3):
    samples = []
    for i, rows in enumerate(prompts):
        _, sample = toy_sample('interactive_image', num_segments=num_segments, seed=i)
        sample.set_metainfo(dict(batch_input_shape=(64, 64), ori_shape=(64, 64)))
        sample.prompts = rows
        sample.prompt_targets = torch.arange(len(rows)) % num_segments
        samples.append(sample)
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(len(samples), 1, 16, 16, 16, generator=generator)
    context = torch.randn(len(samples), 1, 16, 4, 4, generator=generator)
    return features, context, samples


def mixed():
    """A click, a box with a negative click, a mask and a text."""
    masks = torch.zeros(4, 64, 64)
    masks[2, :, 30:40] = 1
    prompts = Prompts.create(
        points=torch.tensor([[[8.0, 8.0]], [[60.0, 60.0]], [[0.0, 0.0]], [[0.0, 0.0]]]),
        point_labels=torch.tensor([[1], [0], [-1], [-1]]),
        boxes=torch.tensor([[NAN] * 4, [20.0, 0.0, 44.0, 64.0], [NAN] * 4, [NAN] * 4]),
        masks=masks,
        texts=(None, None, None, 'the left bar'),
    )
    return replace(prompts, has_mask=torch.tensor([False, False, True, False]))


def answers(head, prompts, **settings):
    features, context, samples = make_batch(prompts)
    with torch.no_grad():
        results = head.predict_prompts(features, context, samples, **settings)
    return [sample.pred_prompted for sample in results]


def logits_of(head, prompts, **settings):
    return answers(head, [prompts], **settings)[0].low_res_logits


@pytest.fixture(scope='module')
def head():
    return wake(make_head())


def test_all_kinds_in_one_batch_with_different_numbers(head):
    first, second, third = answers(head, [mixed(), mixed()[[0]], mixed()[[]]])

    assert first.masks.shape == (4, 1, 1, 64, 64)
    assert first.low_res_logits.shape == (4, 1, 1, 16, 16)
    assert second.masks.shape == (1, 1, 1, 64, 64)
    assert third.masks.shape[0] == 0


def test_other_objects_change_nothing(head):
    together = logits_of(head, mixed())
    for row in range(4):
        alone = logits_of(head, mixed()[[row]])
        torch.testing.assert_close(alone[0], together[row], atol=1e-5, rtol=1e-5)


def test_order_of_objects_changes_nothing(head):
    order = [2, 0, 3, 1]
    torch.testing.assert_close(
        logits_of(head, mixed()[order]), logits_of(head, mixed())[order], atol=1e-5, rtol=1e-5
    )


def test_order_of_points_changes_nothing(head):
    points, labels = torch.rand(1, 3, 2) * 64, torch.tensor([[1, 0, 1]])
    prompts = Prompts.create(points=points, point_labels=labels)
    turned = Prompts.create(points=points.flip(1), point_labels=labels.flip(1))

    torch.testing.assert_close(
        logits_of(head, prompts), logits_of(head, turned), atol=1e-5, rtol=1e-5
    )


def test_padding_points_change_nothing(head):
    prompts = mixed()[[0]]
    padded = prompts.with_points(torch.zeros(1, 2, 2), torch.full((1, 2), -1))
    padded.point_coords[:, 1:] = 5.0

    torch.testing.assert_close(logits_of(head, prompts), logits_of(head, padded))


@pytest.mark.parametrize(
    'change',
    [
        lambda p: p.with_points(torch.tensor([[[50.0, 50.0]]]), torch.tensor([[0]])),
        lambda p: p.with_points(torch.tensor([[[50.0, 50.0]]]), torch.tensor([[1]])),
        lambda p: replace(p, boxes=torch.tensor([[2.0, 2.0, 30.0, 30.0]])),
        lambda p: replace(p, masks=torch.ones(1, 64, 64), has_mask=torch.tensor([True])),
        lambda p: replace(p, texts=('the right bar',)),
        lambda p: replace(p, previous_logits=torch.full((1, 1, 16, 16), -3.0)),
    ],
    ids=['negative click', 'positive click', 'box', 'mask', 'text', 'previous answer'],
)
def test_every_kind_of_prompt_matters_beside_a_click(head, change):
    click = Prompts.create(points=torch.tensor([[[8.0, 8.0]]]))

    assert not torch.allclose(logits_of(head, click), logits_of(head, change(click)), atol=1e-4)


def test_positive_and_negative_clicks_differ(head):
    click = mixed()[[0]]
    place = torch.tensor([[[50.0, 50.0]]])
    more = click.with_points(place, torch.tensor([[1]]))
    less = click.with_points(place, torch.tensor([[0]]))

    assert not torch.allclose(logits_of(head, more), logits_of(head, less), atol=1e-4)


def test_texts_differ(head):
    left, right = (
        logits_of(head, Prompts.create(texts=(text,))) for text in ('the left bar', 'the right bar')
    )

    assert not torch.allclose(left, right, atol=1e-4)


def test_a_new_fusion_and_refiner_hand_a_click_through_unchanged():
    torch.manual_seed(0)
    plain_cfg = tiny_prompted_cfg()['head']
    plain_cfg.pop('prompt_refiner')
    plain_cfg['prompt_encoder'] = {
        k: v for k, v in plain_cfg['prompt_encoder'].items() if k not in ('fusion',)
    }
    full, plain = make_head(), MODELS.build(plain_cfg).eval()
    plain.load_state_dict(full.state_dict(), strict=False)

    torch.testing.assert_close(
        logits_of(full, mixed()[[0]]), logits_of(plain, mixed()[[0]]), atol=1e-5, rtol=1e-5
    )


def test_candidates_are_ranked_and_do_not_change_the_single_answer(head):
    ranked = answers(head, [mixed()], multimask_output=True)[0]
    features, context, samples = make_batch([mixed()])
    route = head.router.route(samples)
    with torch.no_grad():
        both = head.encode_prompts([mixed()], samples, features, context, MaskTokens.BOTH).queries
        logits = head(features, context, route, both)[-1].mask_logits

    assert ranked.masks.shape[:2] == (4, 3)
    assert (ranked.iou_scores.diff(dim=1) <= 0).all()
    torch.testing.assert_close(logits[0, ::4], logits_of(head, mixed())[:, 0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize('rounds', [0, 2])
def test_all_prompt_parameters_learn(rounds):
    head = wake(make_head(correction_rounds=rounds)).train()
    prompts = Prompts.concatenate([mixed(), replace(mixed()[[0]], texts=('the middle bar',))])
    losses = head.loss(*make_batch([prompts, mixed()]))
    sum(losses.values()).backward()
    names = ('prompt_', 'text_matcher')
    silent = [
        name
        for name, parameter in head.named_parameters()
        if name.startswith(names) and (parameter.grad is None or not parameter.grad.any())
    ]

    assert {'interactive_image/loss_prompt_align', 'interactive_image/loss_text_visual'} <= set(
        losses
    )
    assert [name for name in silent if 'token_embedding' not in name] == []


@pytest.mark.parametrize(
    ('name', 'parts'),
    [
        ('prompt_align', ('type_embed', 'fusion.kind_embed', 'fusion.text_proj', 'pos_proj')),
        ('text_visual', ('fusion.text_encoder', 'fusion.text_proj')),
    ],
)
def test_each_contrastive_loss_teaches_prompts_and_features_by_itself(name, parts):
    head = wake(make_head()).train()
    features, context, samples = make_batch([mixed(), mixed()])
    found = head(features, context, head.router.routes[Task.PANOPTIC])[-1].mask_logits[0, 0] > 0
    samples[0].gt_segments.masks[0] = found.repeat_interleave(4, 1).repeat_interleave(4, 2)
    features.requires_grad_()
    head.loss(features, context, samples)[f'interactive_image/loss_{name}'].backward()
    taught = {n for n, p in head.prompt_encoder.named_parameters() if p.grad is not None}
    taught = {n for n in taught if head.prompt_encoder.get_parameter(n).grad.any()}

    assert [part for part in parts if not any(n.startswith(part) for n in taught)] == []
    assert features.grad.any()


def test_of_the_candidates_only_the_best_gets_mask_losses():
    head = wake(make_head(correction_rounds=1)).train()
    features, context, samples = make_batch([mixed(), mixed()[[0]]])
    targets = [head.targets(sample, Task.INTERACTIVE_IMAGE) for sample in samples]
    wanted = frozenset({'mask', 'dice', 'iou'})
    step = PromptTraining(
        head, head.router.route(samples), wanted, features, context, samples, targets
    )
    first, second = step.rounds
    logits, quality = first.outputs[-1].mask_logits, first.outputs[-1].iou_logits
    logits.retain_grad()
    quality.retain_grad()
    averages = head.step_averages(Task.INTERACTIVE_IMAGE, step.counts(), features.device)
    losses = step.losses(averages)
    best = []
    for j, truth in enumerate(torch.nn.functional.avg_pool2d(targets[0].masks.float(), 4)):
        costs = []
        for q in range(4 * j + 1, 4 * j + 4):  # the first of four is no candidate
            probs = logits[0, q].sigmoid()
            dice = 1 - (2 * (probs * truth).sum() + 1) / (probs.sum() + truth.sum() + 1)
            costs.append(dice + torch.nn.functional.binary_cross_entropy(probs, truth))
        best.append(4 * j + 1 + int(torch.stack(costs).argmin()))
    (losses['mask'] + losses['dice']).backward(retain_graph=True)
    trained = logits.grad[0].flatten(1).any(dim=1).nonzero().flatten().tolist()
    losses['iou'].backward()

    assert trained == sorted([0, 4, 8, 12, *best])
    assert quality.grad[0].bool().all()
    assert (first.num_tokens, second.num_tokens) == (4, 1)


def test_a_loss_without_weight_is_not_computed():
    head = make_head(task_loss_weights=dict(interactive_image=dict(mask=1)))
    losses = head.loss(*make_batch([mixed()]))

    assert {name.rpartition('_')[2] for name in losses} == {'mask'}


def test_prompts_that_say_nothing_are_refused(head):
    empty = Prompts.create(points=torch.zeros(2, 1, 2), point_labels=torch.tensor([[1], [-1]]))

    with pytest.raises(UserError, match='got nothing in row 1'):
        answers(head, [empty])


def test_kinds_that_were_not_trained_are_refused():
    cfg = tiny_prompted_cfg()['head']
    cfg['prompt_encoder']['prompt_kinds'] = ('click', 'box')

    with pytest.raises(UserError, match='trained with one positive click per object, boxes'):
        answers(MODELS.build(cfg), [mixed()[[2]]])


def test_kinds_that_cannot_be_understood_are_refused():
    cfg = tiny_prompted_cfg()['head']['prompt_encoder']
    cfg['fusion'] = dict(num_heads=2)

    with pytest.raises(ValueError, match="prompt kind 'text'"):
        MODELS.build(dict(feat_channels=16, prompt_kinds=('text',), **cfg))


def test_no_candidates_without_tokens_for_them():
    cfg = tiny_prompted_cfg()['head']
    cfg['prompt_encoder']['num_candidates'] = 0

    with pytest.raises(UserError, match='multimask_output'):
        answers(MODELS.build(cfg).eval(), [mixed()], multimask_output=True)


def test_a_text_alone_starts_from_an_object_found_in_the_picture(head):
    features, context, samples = make_batch([mixed()])
    asked = head.encode_prompts([mixed()], samples, features, context)
    found = asked.found.mask_logits[0]
    alone = head.prompt_encoder([mixed()], features, canvas=(64, 64), image_shapes=[(64, 64)])
    words = head.prompt_encoder.fusion.words(alone.texts_alone())
    best = head.text_matcher(words, asked.found, features).scores[0, 3].argmax()

    assert asked.queries.is_text_alone.tolist() == [[False, False, False, True]]
    torch.testing.assert_close(
        asked.queries.first_masks[0, 3], found[best].clamp(-8, 4), atol=1e-6, rtol=0
    )


def test_matching_learns_from_expressions_that_prompt_nothing():
    features, context, samples = make_batch([mixed()[[0]], mixed()[[0]]])
    samples[0].set_metainfo(dict(expressions=['the upper bar', None, 'the lower bar']))
    head = make_head().train()
    found = head(features, context, head.router.routes[Task.PANOPTIC])[-1].mask_logits[0, 0] > 0
    samples[0].gt_segments.masks[0] = found.repeat_interleave(4, 1).repeat_interleave(4, 2)
    losses = head.loss(features, context, samples)
    losses['interactive_image/loss_text_visual'].backward()
    spoken = SpokenTexts.of(samples)

    assert spoken.texts == [['the upper bar', 'the lower bar'], []]
    assert torch.equal(spoken.masks[0], samples[0].gt_segments.masks[[0, 2]])
    assert head.text_matcher.score_proj.weight.grad.any()


@pytest.mark.parametrize('rows', [[0, 3], [0]])
def test_objects_for_all_expressions_are_looked_for_once(rows, monkeypatch):
    features, context, samples = make_batch([mixed()[rows]])
    samples[0].set_metainfo(dict(expressions=['the upper bar', None, 'the lower bar']))
    head = make_head().train()
    looked = []
    find = head.find_objects
    monkeypatch.setattr(head, 'find_objects', lambda *args: looked.append(1) or find(*args))
    losses = head.loss(features, context, samples)

    assert 'interactive_image/loss_text_visual' in losses
    assert len(looked) == 1


def test_training_needs_no_text():
    head = make_head().train()
    losses = head.loss(*make_batch([mixed()[[0, 1]], mixed()[[0]]]))

    assert 'interactive_image/loss_text_visual' not in losses
    assert all(torch.isfinite(loss) for loss in losses.values())


def test_no_prompts_at_all_can_be_trained():
    head = make_head(correction_rounds=1).train()
    losses = head.loss(*make_batch([mixed()[[]], mixed()[[]]]))

    assert torch.isfinite(sum(losses.values()))


def test_task_is_prompted(head):
    _, _, samples = make_batch([mixed()])

    assert head.router.route(samples).task is Task.INTERACTIVE_IMAGE


@pytest.mark.parametrize('label', [0, 1])
def test_answers_obey_clicks(label):
    head = wake(make_head(click_keeper=dict(type='ClickKeeper')))
    features, context, samples = make_batch([mixed()[:1]])
    free = wake(make_head()).predict_prompts(features, context, samples)[0]
    masks, answered = free.pred_prompted.masks, []
    row, column = (masks[0, 0, 0] != bool(label)).nonzero()[0].tolist()
    points = torch.tensor([[[8.0, 8.0], [column + 0.5, row + 0.5]]])
    samples[0].prompts = Prompts.create(points=points, point_labels=torch.tensor([[1, label]]))
    for multimask in (False, True):
        kept = head.predict_prompts(features, context, samples, multimask_output=multimask)[0]
        answered += kept.pred_prompted.masks[0, :, 0, row, column].tolist()
    assert answered == [bool(label)] * len(answered)
