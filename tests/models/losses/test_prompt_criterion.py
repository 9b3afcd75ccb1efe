import pytest
import torch
from mmengine.structures import InstanceData

from seg.models.losses import MaskTargets, PromptCriterion
from seg.structures import ClipSample, Prompts
from seg.structures.prompted_masks import PromptedMasks
from seg.utils.checks import UserError

DICE = [dict(type='MaskDiceLoss')]
CLICK = Prompts.create(points=torch.full((1, 1, 2), 2.0))
BOX = Prompts.create(boxes=torch.tensor([[0.0, 0, 4, 4]]))


def criterion(**settings):
    return PromptCriterion(**{'mask_losses': DICE, **settings})


def logits_of(*maps):
    return torch.stack([10 * m.float() - 5 for m in maps])[None]


def half(left):
    mask = torch.zeros(4, 4)
    mask[:, : 2 if left else 4] = 1
    return mask


def targets(mask):
    return MaskTargets(mask[None], torch.ones(1, 4, 4))


def test_only_the_best_candidate_of_a_click_is_trained():
    right, wrong = half(True), 1 - half(True)
    output = PromptedMasks(
        logits_of(right, wrong, right, wrong).requires_grad_(), torch.zeros(1, 4)
    )
    losses = criterion().of_prompts(output, targets(right), CLICK, 'all')
    losses.seg.sum().backward()
    moved = output.mask_logits.grad.abs().sum(dim=(0, 2, 3)) > 0

    assert moved.tolist() == [False, False, True, False]


def test_a_box_trains_the_clear_candidate():
    wrong, right = 1 - half(True), half(True)
    output = PromptedMasks(logits_of(wrong, right, right, right), torch.zeros(1, 4))
    losses = criterion().of_prompts(output, targets(right), BOX, 'all')

    assert losses.seg > 0.9


def test_the_predicted_quality_is_compared_with_the_iou_of_every_candidate():
    right, all_of_it = half(True), torch.ones(4, 4)
    output = PromptedMasks(logits_of(right, all_of_it), torch.tensor([[1.0, 0.0]]))
    losses = criterion().of_prompts(output, targets(right), CLICK, 'multi')

    assert losses.iou == pytest.approx((0.0 + 0.5**2) / 2)


def sample(masks, crowd=()):
    result = ClipSample(metainfo=dict(img_shape=(8, 6), ori_shape=(8, 6)))
    num = len(masks)
    result.gt_segments = InstanceData(
        masks=masks[:, None],
        is_crowd=torch.tensor([i in crowd for i in range(num)]),
        object_ids=torch.arange(num),
    )
    result.prompts = BOX
    result.prompt_targets = torch.tensor([0])
    return result


def weights_of(item, **settings):
    seen = []
    part = criterion(**settings)
    part.of_prompts = lambda output, wanted, *rest: seen.append(wanted)  # type: ignore[assignment]
    part._of_sample(PromptedMasks(torch.zeros(1, 1, 4, 4), torch.zeros(1, 1)), item, 'single')
    return seen[0]


def test_padding_and_crowds_do_not_count():
    masks = torch.zeros(2, 8, 8, dtype=torch.bool)
    masks[0, :4, :4] = True
    masks[1, :, :2] = True  # a crowd, partly below the object
    wanted = weights_of(sample(masks, crowd=[1]))

    assert wanted.masks[0, :2, :2].min() == 1
    assert wanted.weights[0, :, 3].sum() == 0  # padding
    assert wanted.weights[0, 2:, 0].sum() == 0  # crowd beside the object
    assert wanted.weights[0, :2, 0].min() == 1  # crowd below the object


def test_uncovered_pixels_count_unless_told_otherwise():
    masks = torch.zeros(1, 8, 8, dtype=torch.bool)
    masks[0, :4, :4] = True

    assert weights_of(sample(masks)).weights[0, 2:, :3].min() == 1
    assert weights_of(sample(masks), ignore_uncovered=True).weights[0, 2:].sum() == 0


def test_losses_are_the_mean_over_prompts_of_all_images():
    right = half(True)
    masks = torch.zeros(1, 8, 8, dtype=torch.bool)
    masks[0, :, :4] = True
    good, bad = sample(masks), sample(masks)
    good.set_metainfo(dict(img_shape=(8, 8)))
    bad.set_metainfo(dict(img_shape=(8, 8)))
    outputs = [
        PromptedMasks(logits_of(right), torch.ones(1, 1)),
        PromptedMasks(logits_of(1 - right), torch.ones(1, 1)),
    ]
    part = criterion(iou_weight=2.0)
    losses = part(outputs, [good, bad], 'single')
    alone = [part(outputs[i : i + 1], [s], 'single') for i, s in enumerate((good, bad))]

    for name in ('loss_seg', 'loss_iou', 'seg_dice'):
        expected = sum(float(losses[name]) for losses in alone) / 2
        assert float(losses[name]) == pytest.approx(expected)
    assert losses['loss_iou'] == pytest.approx(2.0 * (0 + 1) / 2)


def test_without_weight_the_quality_has_no_loss():
    output = PromptedMasks(logits_of(half(True)), torch.zeros(1, 1))
    masks = torch.ones(1, 8, 8, dtype=torch.bool)
    assert 'loss_iou' not in criterion(iou_weight=0)([output], [sample(masks)], 'single')


def test_wrong_settings_are_named():
    with pytest.raises(UserError, match='each kind once'):
        criterion(mask_losses=DICE * 2)
    with pytest.raises(UserError, match=r'criterion\.ranking'):
        criterion(ranking='best')
    with pytest.raises(UserError, match=r'criterion\.iou_weight'):
        criterion(iou_weight=-1)
