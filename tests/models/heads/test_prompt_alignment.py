"""The contrastive loss between prompts and objects."""

import pytest
import torch

from seg.models.heads import PromptAlignment


def bars(num=3):
    covers = torch.zeros(num, 1, 4, 12)
    for i in range(num):
        covers[i, ..., 4 * i : 4 * i + 4] = 1.0
    return covers


def test_prompts_that_resemble_their_object_cost_less():
    torch.manual_seed(0)
    alignment = PromptAlignment(8)
    alignment.prompt_proj.load_state_dict(alignment.object_proj.state_dict())
    feats = torch.randn(1, 1, 8, 4, 12)
    queries = torch.stack(
        [feats[0, 0, :, :, 4 * i : 4 * i + 4].flatten(1).mean(dim=1) for i in range(3)]
    )[None]
    right = alignment.loss(queries, feats, [bars()], [torch.tensor([0, 1, 2])])
    wrong = alignment.loss(queries, feats, [bars()], [torch.tensor([1, 2, 0])])

    assert right < wrong


def test_prompts_and_features_both_get_a_gradient():
    queries = torch.randn(1, 3, 8, requires_grad=True)
    feats = torch.randn(1, 1, 8, 4, 12, requires_grad=True)
    PromptAlignment(8).loss(queries, feats, [bars()], [torch.tensor([0, 1, 1])]).backward()

    assert queries.grad.any()
    assert feats.grad.any()


def test_one_object_alone_teaches_nothing():
    loss = PromptAlignment(8).loss(
        torch.randn(1, 2, 8), torch.randn(1, 1, 8, 4, 12), [bars()], [torch.tensor([1, 1])]
    )

    assert loss == 0


def test_temperature_must_be_positive():
    with pytest.raises(ValueError, match='temperature'):
        PromptAlignment(8, temperature=0)
