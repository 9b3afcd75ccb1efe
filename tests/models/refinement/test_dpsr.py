"""Two paths that refine each other."""

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


def test_the_surer_path_weighs_more():
    first, second = paths(0.9, 0.3)
    fused = DualPathRefinement(6).fuse(first, second)
    weights = 0.81 / (0.81 + 0.09)

    expected = weights * first.mask_logits[0] + (1 - weights) * second.mask_logits[0]
    torch.testing.assert_close(fused.mask_logits[0], expected)
    torch.testing.assert_close(fused.confidence, torch.tensor([0.9, 0.7]))


def test_masks_apart():
    same, other = torch.ones(1, 3, 3), torch.zeros(1, 3, 3)

    assert mask_distance(same, same).item() == 0
    assert mask_distance(same, other).item() == pytest.approx(0.9)


def test_contrast_must_be_positive():
    with pytest.raises(ValueError, match='contrast'):
        DualPathRefinement(6, contrast=0)
