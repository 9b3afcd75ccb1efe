"""The head: routes, losses of each task, who learns from what, predictions, invariances."""

import pytest
import torch

from seg.registry import MODELS
from seg.structures import Prompts, Task
from seg.testing.tiny_rapsam import NUM_STUFF, NUM_THINGS, tiny_rapsam_cfg, toy_sample

STAGE_OUTPUTS = ('class_fc', 'class_norm', 'class_mlp')
PANOPTIC = dict(panoptic=dict(cls=2.0, mask=5.0, dice=5.0))
WITH_SEMANTIC = dict(
    panoptic=dict(cls=2.0, mask=5.0, dice=5.0, semantic=1.0),
    interactive_image=dict(cls=2.0, mask=5.0, dice=5.0, semantic=1.0),
)
PUBLISHED_PROMPTS = dict(interactive_image=dict(mask=5.0, dice=5.0, iou=10.0))


def make_head(faithful=True, num_mask_tokens=1, **settings):
    cfg = tiny_rapsam_cfg(faithful=faithful, num_mask_tokens=num_mask_tokens)['head']
    return MODELS.build({**cfg, **settings})


def make_batch(task, num_prompts=(3, 3), num_frames=1, **settings):
    """Features and samples; predictions go to a size of their own."""
    samples = []
    for i, count in enumerate(num_prompts):
        _, sample = toy_sample(task, num_prompts=count, num_frames=num_frames, seed=i, **settings)
        sample.set_metainfo(dict(batch_input_shape=(64, 64), ori_shape=(50, 70)))
        samples.append(sample)
    features = torch.randn(len(samples), num_frames, 16, 16, 16)
    context = torch.randn(len(samples), num_frames, 16, 4, 4)
    return features, context, samples


def silent_parameters(head, losses):
    head.zero_grad()
    sum(losses.values()).backward()
    return {n for n, p in head.named_parameters() if p.grad is None or not p.grad.any()}


def test_one_prediction_per_stage_and_one_of_the_adapter():
    head = make_head().eval()
    features, context, _ = make_batch('panoptic', num_frames=2)
    outputs = head(features, context, head.router.routes[Task.PANOPTIC])

    assert len(outputs) == 3
    for output in outputs:
        assert output.queries.shape == (2, 6, 16)
        assert output.mask_logits.shape == (2, 6, 2, 16, 16)
        assert output.class_logits.shape == (2, 6, NUM_THINGS + NUM_STUFF + 1)
        assert output.iou_logits.shape == (2, 6)
    assert torch.equal(outputs[-1].iou_logits, outputs[-2].iou_logits)


def test_route_decides_how_many_stages_run():
    head = make_head(router=dict(type='TaskRouter', interactive_stages=1))
    _, outputs = head.decode(*make_batch('interactive_image'))

    assert len(outputs) == 2
    assert outputs[-1].class_logits is None


@pytest.mark.parametrize('number', [1, 2])
@pytest.mark.parametrize(
    ('task', 'setting'),
    [('panoptic', 'panoptic_stages'), ('interactive_image', 'interactive_stages')],
)
def test_stage_settings_count_in_training_and_inference(task, setting, number):
    head = make_head(router=dict(type='TaskRouter', **{setting: number}))
    runs = []
    for i, stage in enumerate(head.stages):
        stage.register_forward_hook(lambda *_, i=i: runs.append(i))
    losses = head.loss(*make_batch(task))
    assert runs == list(range(number))
    assert f'{task}/d{number - 1}.loss_mask' in losses
    assert f'{task}/d{number}.loss_mask' not in losses
    runs.clear()
    head.eval().predict(*make_batch(task))
    assert runs == list(range(number))


def test_a_route_with_memory_is_refused_without_one():
    with pytest.raises(ValueError, match='enable_streaming_memory: expected False'):
        make_head(router=dict(type='TaskRouter', enable_streaming_memory=True))


def test_undeclared_clicks_are_detected():
    head = make_head().eval()
    features, context, samples = make_batch('interactive_image')
    for sample in samples:
        sample.set_metainfo(dict(task=None))

    assert head.decode(features, context, samples)[0].task is Task.INTERACTIVE_IMAGE


def annotate(samples, labels):
    for sample in samples:
        sample.set_metainfo(dict(annotated_classes=labels))


@pytest.mark.parametrize('task', ['panoptic', 'interactive_image'])
def test_data_without_classes_train_no_classes(task):
    head = make_head(
        faithful=False,
        semantic_auxiliary=dict(type='SemanticAuxiliary'),
        task_loss_weights=WITH_SEMANTIC,
    )
    features, context, samples = make_batch(task)
    annotate(samples, ())
    losses = head.loss(features, context, samples)

    assert {name.rpartition('_')[2] for name in losses} >= {'mask', 'dice'}
    assert not any(name.endswith(('loss_cls', 'loss_semantic')) for name in losses)


def test_dense_loss_is_alone_at_the_start_of_a_training():
    head = make_head(
        faithful=False,
        semantic_auxiliary=dict(type='SemanticAuxiliary', alone_until=0.5),
        task_loss_weights=WITH_SEMANTIC,
    )
    batch = make_batch('panoptic')
    head.semantic_auxiliary.begin_step(0.4)
    assert list(head.loss(*batch)) == ['panoptic/loss_semantic']
    head.semantic_auxiliary.begin_step(0.5)
    assert {'panoptic/loss_semantic', 'panoptic/loss_cls'} < set(head.loss(*batch))


def test_annotated_classes_reach_the_targets():
    head = make_head()
    _, _, samples = make_batch('panoptic')
    annotate(samples, (0, 4))

    annotated = head.targets(samples[0], Task.PANOPTIC).annotated
    assert annotated.tolist() == [True, False, False, False, True]


def test_losses_are_raw_losses_times_the_table_once():
    head = make_head()
    features, context, samples = make_batch('panoptic')
    torch.manual_seed(5)
    weighted = head.loss(features, context, samples)
    torch.manual_seed(5)
    _, outputs = head.decode(features, context, samples)
    targets = [head.targets(sample, Task.PANOPTIC) for sample in samples]
    raw = head.criterion(outputs, targets, frozenset({'cls', 'mask', 'dice', 'panoptic'}))

    assert set(weighted) == {
        f'panoptic/{p}loss_{n}' for p in ('d0.', 'd1.', '') for n in ('cls', 'mask', 'dice')
    } | {'panoptic/loss_panoptic'}
    torch.testing.assert_close(weighted['panoptic/loss_panoptic'], raw['panoptic'])
    for stage in ('d0.', 'd1.', ''):
        for name, weight in (('cls', 2.0), ('mask', 5.0), ('dice', 5.0)):
            got = weighted[f'panoptic/{stage}loss_{name}']
            torch.testing.assert_close(got, weight * raw[f'{stage}{name}'])


@pytest.mark.parametrize('faithful', [True, False])
def test_panoptic_trains_everything_but_prompts_and_quality(faithful):
    head = make_head(faithful)
    silent = silent_parameters(head, head.loss(*make_batch('panoptic')))
    expected = {
        n
        for n, _ in head.named_parameters()
        if n.startswith(('prompt_encoder.', 'prompt_adapter.')) or '.iou_mlp.' in n
    }

    assert silent == expected


@pytest.mark.parametrize('faithful', [True, False])
def test_clicks_train_everything_but_found_objects(faithful):
    head = make_head(faithful)
    silent = silent_parameters(head, head.loss(*make_batch('interactive_image')))
    expected = {
        n
        for n, _ in head.named_parameters()
        if n.startswith(('object_queries.', 'object_adapter.'))
    }

    assert silent == expected


def test_with_the_published_weights_clicks_train_no_classes():
    head = make_head(task_loss_weights={**PANOPTIC, **PUBLISHED_PROMPTS})
    losses = head.loss(*make_batch('interactive_image'))
    silent = silent_parameters(head, losses)

    assert not any('cls' in name for name in losses)
    assert {n for n in silent if n.startswith('stages.')} == {
        n
        for n, _ in head.named_parameters()
        if n.split('.')[2:3] and n.split('.')[2] in STAGE_OUTPUTS
    }


def test_both_tasks_together_train_every_parameter():
    head = make_head(faithful=False)
    losses = {**head.loss(*make_batch('panoptic')), **head.loss(*make_batch('interactive_image'))}

    assert silent_parameters(head, losses) == set()


def test_crowds_are_nobodys_target():
    head = make_head()
    _, _, samples = make_batch('panoptic')
    samples[0].gt_segments.is_crowd[1] = True

    assert head.targets(samples[0], Task.PANOPTIC).labels.tolist() == [0, 2]


def test_a_picture_of_crowds_alone_trains_no_masks():
    head = make_head()
    features, context, samples = make_batch('panoptic', num_prompts=(3,))
    samples[0].gt_segments.is_crowd[:] = True
    losses = head.loss(features, context, samples)

    assert losses['panoptic/loss_mask'] == losses['panoptic/loss_dice'] == 0
    assert losses['panoptic/loss_cls'] > 0


@pytest.mark.parametrize('task', ['panoptic', 'interactive_image'])
def test_a_batch_without_any_segment_can_be_trained(task):
    head = make_head()
    losses = head.loss(*make_batch(task, num_prompts=(0, 0), num_segments=0))
    total = sum(losses.values())
    total.backward()

    assert torch.isfinite(total)


def test_different_numbers_of_prompts_in_a_batch():
    head = make_head()
    losses = head.loss(*make_batch('interactive_image', num_prompts=(3, 0)))

    assert all(torch.isfinite(loss) for loss in losses.values())


def test_targets_follow_the_prompts():
    head = make_head(num_mask_tokens=2)
    _, _, samples = make_batch('interactive_image')
    samples[0].prompt_targets = torch.tensor([2, 0, 1])
    targets = head.targets(samples[0], Task.INTERACTIVE_IMAGE)

    assert targets.labels.tolist() == [2, 0, 1]
    assert targets.queries.tolist() == list(range(3))


def test_a_weight_for_a_missing_auxiliary_is_refused():
    with pytest.raises(ValueError, match='semantic_auxiliary'):
        make_head(task_loss_weights=dict(panoptic=dict(semantic=1.0)))


# Invariances


def clip_of_one_frame(features, context):
    return features[:, :1], context[:, :1]


@pytest.mark.parametrize('faithful', [True, False])
@pytest.mark.parametrize('task', ['panoptic', 'interactive_image'])
def test_batch_of_two_equals_two_batches(task, faithful):
    head = make_head(faithful).eval()
    features, context, samples = make_batch(task)
    _, together = head.decode(features, context, samples)
    for i in range(2):
        part = slice(i, i + 1)
        _, apart = head.decode(features[part], context[part], samples[part])
        for a, b in zip(together, apart, strict=True):
            torch.testing.assert_close(a.mask_logits[part], b.mask_logits, atol=1e-4, rtol=1e-4)
            assert (a.class_logits is None) == (b.class_logits is None)
            if a.class_logits is not None:
                torch.testing.assert_close(
                    a.class_logits[part], b.class_logits, atol=1e-3, rtol=1e-4
                )


def test_two_equal_frames_give_two_equal_masks():
    head = make_head(faithful=False).eval()
    features, context, samples = make_batch('panoptic')
    twice = features.expand(-1, 2, -1, -1, -1)
    _, image = head.decode(features, context, samples)
    _, clip = head.decode(twice, context.expand(-1, 2, -1, -1, -1), samples)

    for t in range(2):
        torch.testing.assert_close(
            clip[-1].mask_logits[:, :, t], image[-1].mask_logits[:, :, 0], atol=1e-4, rtol=1e-4
        )


def test_order_of_frames_does_not_matter():
    head = make_head().eval()
    features, context, samples = make_batch('panoptic', num_frames=3)
    order = [2, 0, 1]
    _, plain = head.decode(features, context, samples)
    _, shuffled = head.decode(features[:, order], context[:, order], samples)

    torch.testing.assert_close(
        plain[-1].mask_logits[:, :, order], shuffled[-1].mask_logits, atol=1e-4, rtol=1e-4
    )


@pytest.mark.parametrize('faithful', [True, False])
def test_a_prompt_does_not_depend_on_others(faithful):
    head = make_head(faithful).eval()
    features, context, samples = make_batch('interactive_image', num_prompts=(3,))
    _, many = head.decode(features, context, samples)
    samples[0].prompts = samples[0].prompts[[1]]
    _, one = head.decode(features, context, samples)

    torch.testing.assert_close(many[-1].mask_logits[:, 1:2], one[-1].mask_logits)
    torch.testing.assert_close(many[-1].iou_logits[:, 1:2], one[-1].iou_logits)


def test_padding_of_a_neighbour_does_not_change_a_picture():
    head = make_head().eval()
    features, context, samples = make_batch('interactive_image', num_prompts=(3, 1))
    _, both = head.decode(features, context, samples)
    _, alone = head.decode(features[1:], context[1:], samples[1:])

    torch.testing.assert_close(both[-1].mask_logits[1:, :1], alone[-1].mask_logits)


def test_permuted_prompts_give_permuted_masks():
    head = make_head().eval()
    features, context, samples = make_batch('interactive_image', num_prompts=(3,))
    order = [2, 0, 1]
    _, plain = head.decode(features, context, samples)
    samples[0].prompts = samples[0].prompts[order]
    _, permuted = head.decode(features, context, samples)

    torch.testing.assert_close(plain[-1].mask_logits[:, order], permuted[-1].mask_logits)


# Predictions


def test_panoptic_predictions_have_the_original_size():
    head = make_head(fusion=dict(type='PanopticFusion', object_mask_thr=0.0, iou_thr=0.0)).eval()
    features, context, samples = make_batch('panoptic', num_frames=2)
    result = head.predict(features, context, samples)[1]

    assert result.pred_panoptic.segment_map.shape == (2, 50, 70)
    ids = set(result.pred_panoptic.segment_map.unique().tolist()) - {0}
    assert ids == {segment.id for segment in result.pred_panoptic.segments}
    instances = result.pred_instances
    assert instances.masks.shape[1:] == (2, 50, 70)
    assert instances.labels.max() < NUM_THINGS
    assert instances.bboxes.shape == (len(instances.scores), 4)


def test_masks_of_a_prompt_are_ranked_by_predicted_quality():
    head = make_head(num_mask_tokens=3).eval()
    features, context, samples = make_batch('interactive_image', num_prompts=(2, 3))
    with torch.no_grad():
        head.prompt_adapter.iou_proj.bias.fill_(0.5)
    _, outputs = head.decode(features, context, samples)
    result = head.predict(features, context, samples)

    for i, count in enumerate((2, 3)):
        prompted = result[i].pred_prompted
        assert prompted.masks.shape == (count, 3, 1, 50, 70)
        assert prompted.object_ids.tolist() == list(range(1, count + 1))
        quality = outputs[-1].iou_logits[i, : 3 * count].view(count, 3).clamp(0, 1)
        expected = quality.sort(dim=1, descending=True).values
        torch.testing.assert_close(prompted.iou_scores, expected)
    best = outputs[-1].iou_logits[0, :3].clamp(0, 1).argmax()
    single = outputs[-1]._replace(
        mask_logits=outputs[-1].mask_logits[:, best : best + 1].expand(-1, 9, -1, -1, -1)
    )
    again = head.predict_by_feat(single, Task.INTERACTIVE_IMAGE, samples, features)
    first = result[0].pred_prompted.masks[0, 0]
    assert torch.equal(again[0].pred_prompted.masks[0, 0], first)


def test_masks_of_low_predicted_quality_come_back_empty():
    features, context, samples = make_batch('interactive_image', num_prompts=(3,))
    torch.manual_seed(0)
    head = make_head().eval()
    with torch.no_grad():
        head.prompt_adapter.iou_proj.bias.fill_(0.5)
    plain = head.predict(features, context, samples)[0].pred_prompted
    assert plain.masks.flatten(1).any(dim=1).all()
    threshold = plain.iou_scores.median().item()
    head.min_iou_score = threshold
    filtered = head.predict(features, context, samples)[0].pred_prompted

    kept = plain.iou_scores[:, 0] >= threshold
    assert 0 < kept.sum() < 3
    assert torch.equal(filtered.iou_scores, plain.iou_scores)
    assert torch.equal(filtered.masks[kept], plain.masks[kept])
    assert not filtered.masks[~kept].any()


def test_no_prompts_predict_no_masks():
    head = make_head().eval()
    features, context, samples = make_batch('interactive_image', num_prompts=(0,))
    prompted = head.predict(features, context, samples)[0].pred_prompted

    assert prompted.masks.shape == (0, 1, 1, 50, 70)
    assert prompted.iou_scores.shape == (0, 1)


def test_prompts_without_a_single_point_column():
    """What an interface makes of an empty list of clicks."""
    head = make_head().eval()
    features, context, samples = make_batch('interactive_image', num_prompts=(0,))
    samples[0].prompts = Prompts.create(points=torch.zeros(0, 0, 2))

    assert len(head.predict(features, context, samples)[0].pred_prompted.masks) == 0
