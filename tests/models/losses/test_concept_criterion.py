"""SAM 3's losses by hand."""

import math

import pytest
import torch
from mmengine.structures import InstanceData

from ext.sam3 import ConceptOutputs
from seg.models.losses import ConceptCriterion, concept_targets
from seg.structures import ClipSample
from seg.utils.checks import UserError

FAR = -30.0


def sample_with(boxes, phrase_labels=(0,)):
    """Squares of class 0 on a canvas of 16 x 16 pixels."""
    masks = torch.zeros(len(boxes), 1, 16, 16, dtype=torch.bool)
    for mask, (x1, y1, x2, y2) in zip(masks, boxes, strict=True):
        mask[0, y1:y2, x1:x2] = True
    sample = ClipSample(metainfo=dict(phrase_labels=list(phrase_labels)))
    sample.gt_segments = InstanceData(
        masks=masks,
        labels=torch.zeros(len(boxes), dtype=torch.long),
        is_crowd=torch.zeros(len(boxes), dtype=torch.bool),
    )
    return sample


def perfect(sample, scores, presence=30.0):
    """Outputs of one layer whose first queries are the instances."""
    (target,) = concept_targets(sample)
    boxes = torch.full((1, 1, 3, 4), 0.1)
    masks = torch.full((1, 3, 16, 16), FAR)
    boxes[0, 0, : len(target.boxes)] = target.boxes
    masks[0, : len(target.masks)][target.masks] = -FAR
    semantic = target.masks.any(dim=0)[None].float() * 60 + FAR
    return ConceptOutputs(
        boxes=boxes,
        class_logits=torch.tensor([[scores]]),
        presence_logits=torch.tensor([[presence]]),
        mask_logits=masks,
        semantic_logits=semantic,
    )


def criterion(**settings):
    names = ('box', 'giou', 'score', 'presence', 'mask', 'dice', 'semantic', 'semantic_dice')
    return ConceptCriterion(
        dict.fromkeys(names, 1.0), sampling=dict(type='GridSampling'), **settings
    )


def test_boxes_of_targets_reach_the_far_side_of_pixels():
    (target,) = concept_targets(sample_with([(0, 4, 8, 8)]))
    assert target.boxes.tolist() == [[0.25, 0.375, 0.5, 0.25]]


def test_perfect_outputs_cost_nothing():
    sample = sample_with([(0, 0, 8, 8), (8, 8, 16, 16)])
    losses = criterion()(perfect(sample, [30.0, 30.0, FAR]), [sample])
    assert set(losses) == {
        f'loss_{name}'
        for name in (
            'box',
            'giou',
            'score',
            'presence',
            'mask',
            'dice',
            'semantic',
            'semantic_dice',
        )
    }
    for name, value in losses.items():
        assert float(value) == pytest.approx(0, abs=1e-4), name


def test_soft_scores_by_hand():
    sample = sample_with([(0, 0, 8, 8)])
    losses = criterion()(perfect(sample, [0.0, 0.0, FAR]), [sample])
    # matched: p = 1/2, IoU 1, target (1/2)^(1/4), weight 10; free: p^2 times log 2; 3 queries
    expected = (10 * math.log(2) + 0.25 * math.log(2)) / 3
    assert float(losses['loss_score']) == pytest.approx(expected, rel=1e-4)


def test_absent_phrases_teach_presence_alone():
    sample = sample_with([])
    losses = criterion()(perfect(sample, [5.0, 5.0, 5.0], presence=0.0), [sample])
    assert float(losses.pop('loss_presence')) == pytest.approx(0.5 * math.log(2))
    assert all(float(value) == 0 for value in losses.values())


def test_inner_layers_learn_boxes_and_scores_but_not_masks():
    sample = sample_with([(0, 0, 8, 8)])
    once = perfect(sample, [1.0, 0.0, 0.0])
    twice = once._replace(
        boxes=once.boxes.repeat(2, 1, 1, 1),
        class_logits=once.class_logits.repeat(2, 1, 1),
        presence_logits=once.presence_logits.repeat(2, 1),
    )
    losses = criterion()(twice, [sample])
    inner = {name.removeprefix('d0.') for name in losses if name.startswith('d0.')}
    assert inner == {'loss_box', 'loss_giou', 'loss_score', 'loss_presence'}
    assert losses['d0.loss_score'] == losses['loss_score']
    assert not any('d0' in name for name in criterion(auxiliary=False)(twice, [sample]))


def test_unknown_weights():
    with pytest.raises(UserError, match=r"unknown loss 'boxes'.*Did you mean 'box'"):
        ConceptCriterion(dict(boxes=1.0))
