"""Training on clips: every loss has a gradient, gradients end where they should."""

import pytest
import torch

from seg.models.detectors.rapsam import ClipFeatures
from seg.models.heads.clip_training import ClipTraining
from seg.registry import MODELS
from seg.structures import Prompts
from seg.testing.tiny_rapsam import tiny_video_cfg, toy_sample

SIZE = (64, 64)
ROW = dict(cls=1, mask=5, dice=5, iou=10, temporal=1, memory_align=1, dpsr=1, object_score=1)


def make_head(weights=None, **settings):
    torch.manual_seed(0)
    weights = weights or dict(vos=ROW, interactive_video=dict(ROW, prompt_align=1, text_visual=1))
    return MODELS.build(tiny_video_cfg(task_loss_weights=weights, **settings)['head']).train()


def make_batch(task='vos', num_frames=3, batch_size=2):
    samples = []
    for i in range(batch_size):
        _, sample = toy_sample(task, num_frames=num_frames, seed=i)
        sample.set_metainfo(dict(batch_input_shape=SIZE, ori_shape=SIZE))
        masks = sample.gt_segments.masks
        masks[2, 1] = False  # out of sight for a frame
        if task == 'vos':
            sample.prompts = Prompts.create(masks=masks[:, 0].float())
        else:
            frames = torch.tensor([0, 0, 2])
            sample.prompts = Prompts.create(
                points=sample.prompts.point_coords,
                texts=('the left bar', None, None),
                frame_index=frames,
            )
            sample.prompts.point_labels[0] = -1  # only words
        samples.append(sample)
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(batch_size, num_frames, 16, 16, 16, generator=generator)
    context = torch.randn(batch_size, num_frames, 16, 4, 4, generator=generator)
    return features.requires_grad_(), context, samples


@pytest.mark.parametrize('task', ['vos', 'interactive_video'])
def test_all_losses_are_there_and_train_the_memory(task):
    head = make_head(clip_schedule=dict(detach_every=8, correction_prob=1.0))
    for parameter in head.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.3)
    losses = head.loss(*make_batch(task))
    sum(losses.values()).backward()
    names = {name.rpartition('loss_')[2] for name in losses}
    silent = [
        name
        for name, parameter in head.named_parameters()
        if name.startswith(('memory.', 'dual_path.'))
        and (parameter.grad is None or not parameter.grad.any())
    ]

    assert names >= set(ROW)
    assert f'{task}/proposal.loss_mask' in losses
    assert f'{task}/search.loss_mask' in losses
    assert all(torch.isfinite(loss) for loss in losses.values())
    assert [name for name in silent if not (task == 'vos' and 'text' in name)] == []


@pytest.mark.parametrize('loss', ['temporal', 'memory_align', 'dpsr', 'object_score'])
def test_each_loss_alone_has_a_gradient(loss):
    head = make_head(dict(vos={loss: 1}))
    features, context, samples = make_batch()
    losses = head.loss(features, context, samples)
    assert set(losses) == {f'vos/loss_{loss}'}
    losses[f'vos/loss_{loss}'].backward()

    assert any(p.grad is not None and p.grad.any() for p in head.memory.parameters())
    if loss != 'object_score':
        assert features.grad.any()


@pytest.mark.parametrize('loss', ['temporal', 'memory_align', 'dpsr', 'object_score'])
def test_no_loss_compares_truth_with_truth(loss):
    """With nothing but the truth in memory, losses still depend on what is predicted."""
    head = make_head(dict(vos={loss: 1}), clip_schedule=dict(truth_steps=10**9))
    features, context, samples = make_batch()
    head.loss(features, context, samples)[f'vos/loss_{loss}'].backward()
    predicting = [*head.stages.parameters(), *head.memory.parameters()]

    assert any(p.grad is not None and p.grad.any() for p in predicting)


def test_objects_that_were_out_of_sight_count_more():
    head = make_head(clip_schedule=dict(truth_steps=10**9, lost_weight=3))
    features, context, samples = make_batch(batch_size=1)
    route = head.router.route(samples, num_frames=3)
    targets = [head.targets(samples[0], route.task)]
    step = ClipTraining(head, route, frozenset(ROW), features, context, samples, targets)

    counts = [step._counts_of_lost(answer)[0].tolist() for _, answer in step.answers]
    assert counts == [[1, 1, 1], [1, 1, 1], [1, 1, 3]]
    assert step.searched[1].chosen[0].queries.tolist() == [0, 1], 'the third is out of sight'
    assert step.searched[2].chosen[0].queries.tolist() == [0, 1, *[2] * 3]


@pytest.mark.parametrize('weight', [0, 2.5])
def test_objects_count_whole_times(weight):
    with pytest.raises(
        ValueError, match=f'lost_weight: expected a whole number >= 1, got {weight}'
    ):
        make_head(clip_schedule=dict(lost_weight=weight))


@pytest.mark.parametrize(('detach_every', 'reaches'), [(1, False), (8, True)])
def test_gradients_end_where_the_memory_is_detached(detach_every, reaches):
    head = make_head(dict(vos=dict(mask=1)), clip_schedule=dict(detach_every=detach_every))
    features, context, samples = make_batch(num_frames=2)
    masks = [sample.gt_segments.masks for sample in samples]
    for m in masks:
        m[:, 0] = False  # nothing to be learned from the first frame itself
    losses = head.loss(features, context, samples)
    sum(losses.values()).backward()

    assert bool(features.grad[:, 0].any()) is reaches


def test_the_share_of_truth_falls_and_the_count_is_saved():
    head = make_head(dict(vos=dict(mask=1)), clip_schedule=dict(truth_steps=4))
    assert head.clip_schedule.truth_prob == 1.0
    head.loss(*make_batch(num_frames=2))

    assert head.clip_schedule.truth_prob == 0.75
    assert int(head.state_dict()['clip_schedule.num_steps']) == 1


def test_clips_without_prompts_can_be_trained():
    head = make_head()
    features, context, samples = make_batch()
    for sample in samples:
        sample.prompts, sample.prompt_targets = sample.prompts[[]], sample.prompt_targets[[]]
    losses = head.loss(features, context, samples)

    assert torch.isfinite(sum(losses.values()))


@torch.no_grad()
def test_a_clip_is_followed_frame_by_frame_in_prediction():
    torch.manual_seed(0)
    model = MODELS.build(tiny_video_cfg()).eval()
    clip, sample = toy_sample('vos', num_frames=11)
    masks = sample.gt_segments.masks[:2, 0].float()
    sample.prompts = Prompts.create(masks=masks, object_ids=torch.tensor([4, 9]))
    (result,) = model.test_step({'inputs': [clip], 'data_samples': [sample]})
    tracks = result.pred_tracks

    assert tracks.id_maps.shape == (11, 64, 64)
    assert tracks.object_ids == (4, 9)
    assert tracks.scores.shape == (2, 11)
    assert torch.equal(tracks.masks(4)[0], masks[0] > 0)
    assert set(tracks.id_maps.unique().tolist()) <= {0, 4, 9}


def test_features_of_one_frame():
    features = ClipFeatures(torch.rand(1, 3, 4, 2, 2), None).frame(1)

    assert features.mask_features.shape == (1, 1, 4, 2, 2)


@torch.no_grad()
def test_without_memory_a_clip_has_tracks_too():
    torch.manual_seed(0)
    cfg = tiny_video_cfg(router=dict(type='TaskRouter', enable_streaming_memory=False))
    model = MODELS.build(cfg).eval()
    clip, sample = toy_sample('vos', num_frames=3)
    masks = sample.gt_segments.masks[:2, 0].float()
    sample.prompts = Prompts.create(masks=masks, object_ids=torch.tensor([4, 9]))
    (result,) = model.test_step({'inputs': [clip], 'data_samples': [sample]})

    assert result.pred_tracks.id_maps.shape == (3, 64, 64)
    assert result.pred_tracks.object_ids == (4, 9)
