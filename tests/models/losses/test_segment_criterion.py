"""Matching and the losses of a batch, against slow references."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from seg.models.losses import SegmentCriterion, Targets
from seg.structures import StageOutput

ALL = frozenset({'cls', 'mask', 'dice', 'iou'})


def make_stage(batch=2, queries=5, frames=1, size=(8, 8), num_classes=4):
    def leaf(*shape):
        return torch.randn(*shape, requires_grad=True)

    return StageOutput(
        queries=leaf(batch, queries, 6),
        mask_logits=leaf(batch, queries, frames, *size),
        class_logits=leaf(batch, queries, num_classes + 1),
        iou_logits=leaf(batch, queries),
    )


def make_targets(labels, *, frames=1, size=(32, 32), queries=None):
    masks = torch.zeros(len(labels), frames, *size, dtype=torch.bool)
    for i in range(len(labels)):
        masks[i, :, :, 6 * i : 6 * i + 6] = True
    return Targets(masks, torch.tensor(labels, dtype=torch.long), queries)


def prompted(labels, **settings):
    return make_targets(labels, queries=torch.arange(len(labels)), **settings)


def make_criterion(num_points=256, **settings):
    sampling = dict(type='PointSampling', num_points=num_points)
    return SegmentCriterion(**{'sampling': sampling, **settings})


def assign(criterion, stage, index, target):
    """Assignment of one clip, whose masks are prepared as for a whole step."""
    compared = criterion.sampling.prepare(target.masks, stage.mask_logits.shape[-2:])
    return criterion.assign(stage, index, replace(target, compared=compared))


def stage_that_knows(target, order, num_classes=4):
    """A stage whose query ``order[i]`` has the mask and the label of row i."""
    queries = len(order) + 2
    masks = torch.full((1, queries, *target.masks.shape[1:]), -9.0)
    classes = torch.zeros(1, queries, num_classes + 1)
    for row, query in enumerate(order):
        masks[0, query][target.masks[row]] = 9.0
        classes[0, query, target.labels[row]] = 9.0
    return StageOutput(torch.zeros(1, queries, 6), masks, classes, torch.zeros(1, queries))


def test_matching_finds_the_queries_that_know():
    target = make_targets([3, 0, 1])
    pair = assign(make_criterion(), stage_that_knows(target, [4, 0, 2]), 0, target)
    found = dict(zip(pair.rows.tolist(), pair.queries.tolist(), strict=True))

    assert found == {0: 4, 1: 0, 2: 2}


def test_matching_cost_equals_the_formula():
    criterion, stage = make_criterion(), make_stage(batch=1)
    target = make_targets([2, -1])
    target = replace(target, compared=target.masks)
    torch.manual_seed(3)
    cost = criterion._matching_cost(stage, 0, target)
    torch.manual_seed(3)
    grid = torch.rand(1, 256, 2).unsqueeze(1) * 2 - 1

    def read(mask):
        return F.grid_sample(mask.float()[None], grid, align_corners=False).flatten()

    for q in range(5):
        for n in range(2):
            logits, points = read(stage.mask_logits[0, q]), read(target.masks[n])
            bce = F.binary_cross_entropy_with_logits(logits, points)
            probs = logits.sigmoid()
            dice = 1 - (2 * (probs * points).sum() + 1) / (probs.sum() + points.sum() + 1)
            expected = 5 * bce + 5 * dice
            if n == 0:  # the class of the second row is unknown
                expected = expected - 2 * stage.class_logits[0, q].softmax(-1)[2]
            torch.testing.assert_close(cost[q, n], expected, atol=1e-4, rtol=1e-4)


def test_matching_survives_infinite_logits():
    stage, target = make_stage(batch=1), make_targets([0, 1])
    with torch.no_grad():
        stage.mask_logits[0, 0] = torch.inf
        stage.class_logits[0, 1] = torch.nan
    pair = assign(make_criterion(), stage, 0, target)

    assert len(set(pair.queries.tolist())) == 2


def test_more_segments_than_queries_leaves_segments_out():
    pair = assign(make_criterion(), make_stage(batch=1, queries=2), 0, make_targets([0, 1, 2]))

    assert len(pair.queries) == len(pair.rows) == 2


def test_class_loss_equals_weighted_cross_entropy():
    criterion, stage = make_criterion(), make_stage()
    targets = [make_targets([2, 1]), make_targets([0])]
    losses = criterion([stage], targets, frozenset({'cls'}))
    labels = torch.full((2, 5), 4)
    for i, target in enumerate(targets):
        torch.manual_seed(0)
        pair = assign(criterion, stage, i, target)
        labels[i, pair.queries] = target.labels[pair.rows]
    weight = torch.tensor([1.0, 1, 1, 1, 0.1])
    expected = F.cross_entropy(stage.class_logits.flatten(0, 1), labels.flatten(), weight)

    # Points of the matching are random; the costs are far apart at this seed.
    torch.testing.assert_close(losses['cls'], expected)


def test_a_segment_of_unknown_class_does_not_count_as_a_class():
    stage = make_stage(batch=1)
    losses = make_criterion()([stage], [make_targets([-1, -1])], frozenset({'cls'}))
    losses['cls'].backward()

    silent = (stage.class_logits.grad[0].abs().sum(dim=-1) == 0).sum()
    assert silent == 2


def test_prompted_queries_without_label_do_not_count():
    stage = make_stage(batch=2, queries=3)
    targets = [prompted([1, -1, 2]), prompted([0])]  # the second picture is padded
    losses = make_criterion()([stage], targets, frozenset({'cls'}))
    losses['cls'].backward()
    rows = torch.stack(
        [stage.class_logits[0, 0], stage.class_logits[0, 2], stage.class_logits[1, 0]]
    )

    torch.testing.assert_close(losses['cls'], F.cross_entropy(rows, torch.tensor([1, 2, 0])))
    assert not stage.class_logits.grad[0, 1].any()
    assert not stage.class_logits.grad[1, 1:].any()


def test_prompted_queries_keep_their_rows():
    target = Targets(make_targets([0, 1]).masks, torch.tensor([0, 1]), torch.tensor([1, 0]))
    pair = assign(make_criterion(), make_stage(batch=1), 0, target)

    assert pair.queries.tolist() == [1, 0]
    assert pair.rows.tolist() == [0, 1]


def test_mask_losses_are_sums_over_masks_by_their_number():
    """With constant logits the points hardly matter (those at the border read a little less)."""
    logits = torch.zeros(2, 3, 1, 8, 8)
    stage = make_stage(queries=3)._replace(mask_logits=logits)
    targets = [prompted([0, 1]), prompted([2])]
    for target in targets:
        target.masks[:] = True
    losses = make_criterion()([stage], targets, frozenset({'mask', 'dice'}))

    assert losses['mask'].item() == pytest.approx(torch.tensor(2.0).log().item())
    assert losses['dice'].item() == pytest.approx(1 - 257 / 385, abs=0.01)


def test_padded_prompts_get_no_mask_gradient():
    stage = make_stage(queries=3)
    losses = make_criterion()([stage], [prompted([0, 1, 2]), prompted([0])], ALL)
    sum(losses.values()).backward()

    assert not stage.mask_logits.grad[1, 1:].any()
    assert not stage.iou_logits.grad[1, 1:].any()
    assert stage.mask_logits.grad[0].flatten(1).any(dim=1).all()


def test_iou_loss_is_the_squared_error_to_the_detached_iou():
    stage = make_stage(batch=1, queries=2)
    target = prompted([0, 1])
    losses = make_criterion()([stage], [target], frozenset({'iou'}))
    enlarged = F.interpolate(stage.mask_logits[0], size=(32, 32), mode='bilinear')
    found = (enlarged > 0)[:, 0]
    truth = target.masks[:, 0]
    iou = (found & truth).sum((1, 2)) / (found | truth).sum((1, 2))
    expected = ((stage.iou_logits[0] - iou) ** 2).sum() / 2

    torch.testing.assert_close(losses['iou'], expected)
    losses['iou'].backward()
    assert stage.mask_logits.grad is None
    assert stage.iou_logits.grad.all()


def test_a_clip_is_one_mask_over_all_its_frames():
    stage = make_stage(batch=1, frames=3)
    target = make_targets([0, 1], frames=3)
    losses = make_criterion()([stage], [target], ALL)
    losses['mask'].backward()

    assert stage.mask_logits.grad.sum(dim=(3, 4)).any(dim=-1).sum() == 2
    matched = stage.mask_logits.grad.flatten(3).any(dim=-1)[0]
    assert torch.equal(matched.all(dim=-1), matched.any(dim=-1))


def test_masks_can_be_compared_on_the_grid_of_the_logits():
    criterion = make_criterion(sampling=dict(type='GridSampling'))
    stage, target = make_stage(batch=1, queries=2), prompted([0, 1])
    losses = criterion([stage], [target], frozenset({'mask'}))
    cells = F.avg_pool2d(target.masks[:, 0].float(), 4)
    expected = F.binary_cross_entropy_with_logits(stage.mask_logits[0, :, 0], cells)

    torch.testing.assert_close(losses['mask'], expected)
    found = stage_that_knows(make_targets([3, 0]), [1, 3])
    assert assign(criterion, found, 0, make_targets([3, 0])).queries.tolist() == [1, 3]


@pytest.mark.parametrize('kind', ['PointSampling', 'GridSampling'])
def test_sampling_of_nothing(kind):
    criterion = make_criterion(sampling=dict(type=kind))
    stage = make_stage()
    losses = criterion([stage], [make_targets([])] * 2, ALL)

    assert losses['mask'].item() == losses['dice'].item() == 0


def test_every_stage_has_its_own_losses_and_the_last_no_prefix():
    stages = [make_stage() for _ in range(3)]
    losses = make_criterion()(stages, [make_targets([0]), make_targets([1])], ALL)

    names = {f'{prefix}{name}' for prefix in ('d0.', 'd1.', '') for name in ALL}
    assert set(losses) == names


def test_only_wanted_losses_are_computed():
    losses = make_criterion()([make_stage()], [make_targets([0])] * 2, frozenset({'dice'}))

    assert set(losses) == {'dice'}


@pytest.mark.parametrize('empty', [make_targets([]), prompted([])], ids=['found', 'prompted'])
def test_nothing_to_find_gives_zeros_with_a_graph(empty):
    num_queries = 5 if empty.queries is None else 0
    stage = make_stage(queries=num_queries)
    losses = make_criterion()([stage], [empty, empty], ALL)
    sum(losses.values()).backward()

    assert losses['mask'].item() == losses['dice'].item() == losses['iou'].item() == 0
    assert torch.isfinite(losses['cls'])
    assert stage.mask_logits.grad is not None
    assert (losses['cls'] > 0) == (num_queries > 0)


def test_one_picture_may_be_empty():
    losses = make_criterion()([make_stage()], [make_targets([]), make_targets([1])], ALL)

    assert all(torch.isfinite(loss) for loss in losses.values())
    assert losses['mask'] > 0


def test_losses_are_float32_under_autocast():
    stage = StageOutput(*(value.detach().bfloat16() for value in make_stage()))
    with torch.autocast('cpu', torch.bfloat16):
        losses = make_criterion()([stage], [make_targets([0]), make_targets([1])], ALL)

    assert {loss.dtype for loss in losses.values()} == {torch.float32}


def test_order_of_segments_does_not_matter():
    criterion, stage = make_criterion(num_points=2048), make_stage(batch=1)
    target = make_targets([0, 1, 2])
    order = torch.tensor([2, 0, 1])
    shuffled = Targets(target.masks[order], target.labels[order])
    torch.manual_seed(1)
    first = assign(criterion, stage, 0, target)
    torch.manual_seed(1)
    second = assign(criterion, stage, 0, shuffled)

    pairs = set(zip(first.queries.tolist(), first.rows.tolist(), strict=True))
    again = set(zip(second.queries.tolist(), order[second.rows].tolist(), strict=True))
    assert pairs == again


# Classes that are not annotated


def annotated(target, labels, num_classes=4):
    marked = torch.zeros(num_classes, dtype=torch.bool)
    marked[list(labels)] = True
    return replace(target, annotated=marked)


def class_gradient(target):
    """Gradient of the class loss for a target that query 0 of 3 answers."""
    stage = stage_that_knows(make_targets([1]), [0])
    logits = stage.class_logits.clone().requires_grad_()
    loss = make_criterion()([stage._replace(class_logits=logits)], [target], frozenset({'cls'}))
    loss['cls'].backward()
    return logits.grad[0]


def test_all_classes_annotated_is_ordinary_cross_entropy():
    plain = class_gradient(make_targets([1]))

    torch.testing.assert_close(class_gradient(annotated(make_targets([1]), range(4))), plain)


def test_free_queries_may_name_classes_that_are_not_annotated():
    gradient = class_gradient(annotated(make_targets([1]), [0, 1]))

    assert (gradient[1:, :2] > 0).all()  # annotated ones are pushed down
    assert (gradient[1:, 2:] < 0).all()  # the others are as good as no object
    matched = class_gradient(make_targets([1]))[0]
    torch.testing.assert_close(gradient[0], matched)  # a segment's own class counts as ever


def test_loss_of_a_free_query_is_the_probability_of_naming_an_annotated_class():
    stage = make_stage(batch=1, queries=2)
    target = annotated(make_targets([]), [0, 3])
    loss = make_criterion(no_object_weight=0.3)([stage], [target], frozenset({'cls'}))['cls']
    probs = stage.class_logits[0].softmax(-1)
    expected = -(1 - probs[:, 0] - probs[:, 3]).log().mean()

    torch.testing.assert_close(loss, expected)


def test_clips_of_a_batch_may_differ_in_what_is_annotated():
    stage, target = make_stage(queries=3), make_targets([])
    both = [annotated(target, [0]), target]
    loss = make_criterion()([stage], both, frozenset({'cls'}))['cls']
    rows = stage.class_logits
    first = -(1 - rows[0].softmax(-1)[:, 0]).log().sum()
    second = F.cross_entropy(rows[1], torch.full((3,), 4), reduction='sum')

    torch.testing.assert_close(loss, (first + second) / 6)


def test_data_without_classes_have_no_class_loss():
    targets = [annotated(make_targets([-1]), [])] * 2
    losses = make_criterion()([make_stage()], targets, ALL)

    assert set(losses) == {'mask', 'dice', 'iou'}


# Divisors


def test_counts_are_what_the_losses_are_divided_by():
    criterion, stages = make_criterion(), [make_stage(), make_stage(queries=1)]
    targets = [make_targets([2, -1]), make_targets([0])]
    counts = criterion.counts(stages, targets)

    assert counts['masks'] == 3
    assert counts['classes.0'].item() == pytest.approx(2 + 0.1 * 7)
    assert counts['classes.1'].item() == pytest.approx(0.5 + 1)  # half of the rows are labelled


def test_given_averages_take_the_place_of_the_counts():
    stage, targets = make_stage(), [prompted([0, 1]), prompted([2])]
    criterion = make_criterion(sampling=dict(type='GridSampling'))
    plain = criterion([stage], targets, ALL)
    halved = criterion([stage], targets, ALL, {'masks': 6.0, 'classes.0': 6.0})

    for name in ALL:
        torch.testing.assert_close(halved[name], plain[name] / 2)


def test_the_panoptic_loss_belongs_to_the_last_prediction():
    stages = [make_stage(), make_stage()]
    losses = make_criterion()(stages, [make_targets([0]), make_targets([1])], ALL | {'panoptic'})
    losses['panoptic'].backward()

    assert 'd0.panoptic' not in losses
    assert stages[0].mask_logits.grad is None
    assert stages[1].mask_logits.grad.any()
    assert stages[1].class_logits.grad.any()
