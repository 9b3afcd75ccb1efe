"""Two paths that refine each other."""

import math

import pytest
import torch

from seg.models.refinement import DualPathRefinement, PathPrediction, mask_distance


def paths(first=0.9, second=0.3):
    torch.manual_seed(0)
    return [
        PathPrediction(
            torch.randn(2, 4, 5, requires_grad=True),
            torch.randn(2, 6, requires_grad=True),
            torch.tensor([confidence, 1 - confidence]),
        )
        for confidence in (first, second)
    ]


def test_only_the_less_sure_side_learns():
    sure, unsure = paths(0.9, 0.3)
    DualPathRefinement(6).loss(sure, unsure).sum().backward()

    for grads in (
        (sure.mask_logits.grad, unsure.mask_logits.grad),
        (sure.queries.grad, unsure.queries.grad),
    ):
        first, second = grads
        assert not first[0].any()
        assert first[1].any()
        assert second[0].any()
        assert not second[1].any()


def test_equal_paths_cost_nothing():
    first, _ = paths()

    torch.testing.assert_close(
        DualPathRefinement(6).loss(first, first), torch.zeros(2), atol=1e-5, rtol=0
    )


@pytest.mark.parametrize('lead', [-0.6, 0.0, 0.3, 0.6])
def test_the_second_path_counts_when_it_is_surer_by_the_margin(lead):
    first, second = paths(0.9, 0.3)
    second = second._replace(confidence=first.confidence + lead)
    fused = DualPathRefinement(6, margin=0.3, contrast=20).fuse(first, second)
    weight = 1 / (1 + math.exp(-20 * (lead - 0.3)))

    expected = (1 - weight) * first.mask_logits + weight * second.mask_logits
    torch.testing.assert_close(fused.mask_logits, expected)
    expected = (1 - weight) * first.queries + weight * second.queries
    torch.testing.assert_close(fused.queries, expected)
    torch.testing.assert_close(fused.confidence, first.confidence + weight * lead)


def test_masks_apart():
    same, other = torch.ones(1, 3, 3), torch.zeros(1, 3, 3)

    assert mask_distance(same, same).item() == 0
    assert mask_distance(same, other).item() == pytest.approx(0.9)


def test_only_the_unsure_need_a_second_path():
    confidences = torch.tensor([0.2, 0.64, 0.66, 1.0])
    unsure = DualPathRefinement(6, certain=0.65).is_unsure(confidences)
    assert unsure.tolist() == [True, True, False, False]
    every = DualPathRefinement(6, certain=1).is_unsure(confidences)
    assert every.tolist() == [True, True, True, False]


@pytest.mark.parametrize(
    'setting', [{'contrast': 0}, {'margin': 1}, {'margin': -0.1}, {'certain': 0}, {'certain': 1.1}]
)
def test_settings_out_of_range_are_named(setting):
    with pytest.raises(ValueError, match=f'DualPathRefinement.{next(iter(setting))}'):
        DualPathRefinement(6, **setting)
