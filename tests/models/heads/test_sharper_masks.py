"""A head that divides the cells of masks: what it learns from, and what comes out."""

import pytest
import torch

from seg.models.heads import RapSAMVideoHead, resize_masks
from seg.models.heads.clip_following import finest_masks
from seg.models.heads.clip_frame import FrameAnswer
from seg.models.losses import Targets
from seg.registry import MODELS
from seg.structures import PointLabel, Prompts, StageOutput
from seg.testing.tiny_rapsam import tiny_prompted_cfg, tiny_video_cfg, toy_sample

TASKS = ['panoptic', 'interactive_image', 'vos', 'interactive_video']


def make(task, **settings) -> RapSAMVideoHead:
    torch.manual_seed(0)
    is_clip = task in ('vos', 'interactive_video')
    cfg = (tiny_video_cfg if is_clip else tiny_prompted_cfg)()
    return MODELS.build({**cfg['head'], **settings})


def batch(task, **settings):
    num_frames = 3 if task in ('vos', 'interactive_video') else 1
    _, sample = toy_sample(task, num_frames=num_frames, **settings)
    sample.set_metainfo(dict(batch_input_shape=(64, 64), ori_shape=(64, 64)))
    return torch.randn(1, num_frames, 16, 16, 16), torch.randn(1, num_frames, 16, 4, 4), [sample]


@pytest.mark.parametrize('task', TASKS)
def test_masks_on_the_finer_grid_are_learned(task):
    head, (features, context, samples) = make(task), batch(task)
    features.requires_grad_()
    losses = head.loss(features, context, samples)
    fine = losses[f'{task}/fine.loss_mask'] + losses[f'{task}/fine.loss_dice']
    fine.backward()

    assert all(parameter.grad.abs().sum() > 0 for parameter in head.mask_upsampler.parameters())
    assert features.grad.abs().sum() > 0


def test_a_head_without_an_upsampler_has_no_such_losses():
    features, context, samples = batch('panoptic')
    losses = make('panoptic', mask_upsampler=None).loss(features, context, samples)

    assert 'panoptic/loss_mask' in losses
    assert not any('fine' in name for name in losses)


def test_the_loss_compares_with_what_finer_cells_cover():
    criterion = dict(type='SegmentCriterion', sampling=dict(type='GridSampling'))
    head = make('panoptic', criterion=criterion)
    masks = torch.zeros(1, 1, 64, 64, dtype=torch.bool)
    masks[..., :34, :] = True  # 8.5 cells of 4 pixels, 17 halves of a cell
    output = StageOutput(torch.zeros(1, 1, 16), torch.zeros(1, 1, 1, 16, 16), None, None)
    target = Targets(masks, torch.zeros(1, dtype=torch.long), queries=torch.tensor([0]))
    exact = torch.full((1, 1, 32, 32), -20.0)
    exact[..., :17, :] = 20.0
    wanted = frozenset({'mask', 'dice'})
    losses = head.criterion([output], [target], wanted, sharpen=[lambda _: exact])

    assert losses['fine.mask'] < 1e-6
    assert losses['fine.dice'] < 1e-6
    shifted = exact.roll(1, dims=2)
    losses = head.criterion([output], [target], wanted, sharpen=[lambda _: shifted])
    assert losses['fine.mask'] > 0.5


def test_quality_is_that_of_the_finer_masks():
    head = make('interactive_image')
    masks = torch.zeros(1, 1, 64, 64, dtype=torch.bool)
    masks[..., :34, :] = True
    nothing, sure = torch.full((1, 1, 1, 16, 16), -9.0), torch.ones(1, 1)
    output = StageOutput(torch.zeros(1, 1, 16), nothing, None, sure)
    target = Targets(masks, torch.zeros(1, dtype=torch.long), queries=torch.tensor([0]))
    exact = torch.full((1, 1, 32, 32), -20.0)
    exact[..., :17, :] = 20.0
    wanted = frozenset({'iou'})

    assert head.criterion([output], [target], wanted)['iou'] == 1
    fine = head.criterion([output, output], [target], wanted, sharpen=[lambda _: exact])
    assert fine['iou'] == 0
    assert fine['d0.iou'] == 1, 'stages before the last have no finer masks'


@pytest.mark.parametrize('task', TASKS)
def test_predictions_are_those_of_the_finer_grid(task, monkeypatch):
    features, context, samples = batch(task)
    results = []
    for _ in range(2):
        head = make(task).eval()
        found = torch.tensor([0.9, 0.8, 0.7, 0.6, 0, 0]), torch.arange(6) % 4, torch.arange(6) < 4
        monkeypatch.setattr(head.fusion, '_worth', lambda _, found=found: found)
        head.fusion.iou_thr = 0.0
        if results:
            with torch.no_grad():  # every part of a cell takes from the cell below on the right
                head.mask_upsampler.weight_conv.bias.view(4, 9)[:] = 0
                head.mask_upsampler.weight_conv.bias.view(4, 9)[:, 8] = 50
        sample = samples[0].clone()
        with torch.no_grad():
            follower = head.follower(sample, features.shape[1])
            if follower is None:
                head.predict(features, context, [sample])
            else:
                for t in range(features.shape[1]):
                    follower.step(features[:, t : t + 1], context[:, t : t + 1])
                follower.finish()
        results.append(maps_of(sample))
    plain, moved = results

    assert not plain.equal(moved)
    shifted = plain.roll((-4, -4), dims=(-2, -1))[..., 8:-8, 8:-8]
    agree = (shifted == moved[..., 8:-8, 8:-8]).float().mean()
    assert agree > (plain[..., 8:-8, 8:-8] == moved[..., 8:-8, 8:-8]).float().mean()


def maps_of(sample):
    if 'pred_panoptic' in sample:
        return sample.pred_panoptic.segment_map.long()
    if 'pred_tracks' in sample:
        return sample.pred_tracks.id_maps.long()
    return sample.pred_prompted.masks[:, 0, 0].long()


def test_clicks_are_kept_on_the_finer_grid():
    head = make('interactive_image', click_keeper=dict(type='ClickKeeper')).eval()
    features, context, samples = batch('interactive_image')
    clicks = samples[0].prompts
    clicks.point_coords = clicks.point_coords.floor() + 0.5  # a pixel is judged at its centre
    with torch.no_grad():
        head.mask_upsampler.weight_conv.weight.normal_(std=3.0)
        (sample,) = head.predict(features, context, samples)
    prompts, found = sample.prompts, sample.pred_prompted
    fine = resize_masks(
        found.fine_logits[:, 0], canvas=(64, 64), img_shape=(64, 64), ori_shape=(64, 64)
    )

    assert found.fine_logits.shape[-2:] == (32, 32)
    assert torch.equal(fine > 0, found.masks[:, 0])
    for row, (points, labels) in enumerate(
        zip(prompts.point_coords, prompts.point_labels, strict=True)
    ):
        for (x, y), label in zip(points.tolist(), labels.tolist(), strict=True):
            if label != PointLabel.PADDING:
                inside = bool(found.masks[row, 0, 0, int(y), int(x)])
                assert inside == (label == PointLabel.FOREGROUND)


def test_clicks_in_clips_are_kept_on_the_finer_grid():
    head = make('interactive_video', click_keeper=dict(type='ClickKeeper')).eval()
    features, context, (sample,) = batch('interactive_video')
    ids = sample.prompts.object_ids
    sample.prompts = Prompts.create(
        points=torch.tensor([[[9.0, 21.0]], [[50.0, 40.0]], [[33.0, 60.0]]]),
        point_labels=torch.ones(3, 1, dtype=torch.long),
        object_ids=ids,
    )
    with torch.no_grad():
        head.mask_upsampler.weight_conv.weight.normal_(std=3.0)
        follower = head.follower(sample, 3)
        follower.step(features[:, :1], context[:, :1])
        state = follower.state
    sizes = head.picture_sizes(sample, features[0, :1])
    answer = FrameAnswer(
        **dict.fromkeys(FrameAnswer._fields) | dict(mask_logits=torch.full((1, 3, 16, 16), -1.0))
    )
    fine, rest = finest_masks(
        head.click_keeper, answer, state, sample.prompts, features[0, 0], sizes
    )
    full = resize_masks(fine[:, None], **rest)[:, 0]

    assert fine.shape == (3, 32, 32)
    places = sample.prompts.point_coords[:, 0].long().tolist()
    assert all(full[i, y, x] > 0 for i, (x, y) in enumerate(places))
    unkept, _ = finest_masks(None, answer, state, sample.prompts, features[0, 0], sizes)
    assert (unkept <= 0).all()
