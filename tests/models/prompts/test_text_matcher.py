"""Texts and found objects."""

import torch
from torch import nn

from seg.models.prompts import TextMatcher, text_visual_loss
from seg.models.prompts.texts import TextWords
from seg.structures import StageOutput


def scene(num_clips=2, num_objects=5):
    """Found objects that are vertical bars."""
    masks = torch.full((num_clips, num_objects, 1, 8, 20), -6.0)
    for i in range(num_objects):
        masks[:, i, ..., 4 * i : 4 * i + 4] = 6.0
    queries = torch.randn(num_clips, num_objects, 16)
    return StageOutput(queries, masks, None, None), torch.randn(num_clips, 1, 16, 8, 20)


def spoken(embeddings):
    """Texts of one word each."""
    return TextWords(embeddings.unsqueeze(2), torch.ones(*embeddings.shape[:2], 1).bool())


def test_shapes_and_the_best_mask():
    torch.manual_seed(0)
    objects, feats = scene()
    matches = TextMatcher(16, num_heads=2)(spoken(torch.randn(2, 3, 16)), objects, feats)
    best = matches.scores.argmax(dim=-1)

    assert matches.scores.shape == (2, 3, 5)
    assert matches.contents.shape == (2, 3, 16)
    assert torch.equal(matches.mask_logits[1, 2], objects.mask_logits[1, best[1, 2]])


def test_it_learns_to_find_by_place_and_by_look():
    """Two words, 'the rightmost' and 'the one with a marked feature', in new pictures each step."""
    torch.manual_seed(0)
    matcher, words = TextMatcher(16, num_heads=2, num_layers=1), nn.Embedding(2, 16)
    parameters = [*matcher.parameters(), *words.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=5e-3)
    for _ in range(150):
        objects, feats = scene(num_clips=8)
        order = torch.rand(8, 5).argsort(dim=1)
        masks = objects.mask_logits.gather(
            1, order[:, :, None, None, None].expand_as(objects.mask_logits)
        )
        marked = torch.randint(5, (8,))
        for i in range(8):
            bar = int(order[i, marked[i]])
            feats[i, 0, 0, :, 4 * bar : 4 * bar + 4] += 4
        matches = matcher(
            spoken(words.weight.expand(8, -1, -1)), objects._replace(mask_logits=masks), feats
        )
        target = torch.stack([(order == 4).int().argmax(dim=1), marked], dim=1)
        loss = nn.functional.cross_entropy(matches.scores.flatten(0, 1), target.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    accuracy = (matches.scores.argmax(dim=-1) == target).float().mean(dim=0)

    assert accuracy[0] > 0.8
    assert accuracy[1] > 0.8


def test_order_of_objects_changes_only_the_order_of_scores():
    torch.manual_seed(0)
    objects, feats = scene()
    matcher, texts = TextMatcher(16, num_heads=2).eval(), torch.randn(2, 3, 16)
    turned = StageOutput(objects.queries.flip(1), objects.mask_logits.flip(1), None, None)

    torch.testing.assert_close(
        matcher(spoken(texts), turned, feats).scores.flip(-1),
        matcher(spoken(texts), objects, feats).scores,
        atol=1e-5,
        rtol=1e-5,
    )


def test_features_and_texts_learn_but_found_objects_do_not():
    objects, feats = scene()
    texts = torch.randn(2, 3, 16, requires_grad=True)
    objects.queries.requires_grad_()
    feats.requires_grad_()
    matches = TextMatcher(16, num_heads=2)(spoken(texts), objects, feats)
    text_visual_loss(matches.scores.flatten(0, 1), torch.rand(6, 5)).backward()

    assert texts.grad.any()
    assert feats.grad.any()
    assert objects.queries.grad is None


def test_loss_is_the_cross_entropy_of_the_best_object():
    scores = torch.tensor([[2.0, 0.0, -1.0]])
    expected = nn.functional.cross_entropy(scores, torch.tensor([1]))

    assert torch.isclose(text_visual_loss(scores, torch.tensor([[0.1, 0.8, 0.5]])), expected)


def test_objects_that_were_not_found_do_not_count():
    assert text_visual_loss(torch.randn(1, 3), torch.tensor([[0.1, 0.3, 0.2]])) == 0


def test_an_object_that_was_found_twice_may_be_chosen_either_way():
    twice = torch.tensor([[0.75, 0.8, 0.0]])
    first, second = torch.tensor([[9.0, 0.0, 0.0]]), torch.tensor([[0.0, 9.0, 0.0]])

    torch.testing.assert_close(text_visual_loss(first, twice), text_visual_loss(second, twice))
    assert text_visual_loss(first, twice) < 0.01
    assert text_visual_loss(first, torch.tensor([[0.65, 0.8, 0.0]])) > 5


def test_padding_words_and_empty_rows_say_nothing():
    torch.manual_seed(0)
    objects, feats = scene()
    matcher = TextMatcher(16, num_heads=2).eval()
    words, said = torch.randn(2, 3, 4, 16), torch.ones(2, 3, 4).bool()
    said[0, 1, 2:] = False
    said[1, 2] = False
    scores = matcher(TextWords(words, said), objects, feats).scores

    assert torch.equal(scores[1, 2], torch.zeros(5))
    short = TextWords(words[:, 1:2, :2], said[:, 1:2, :2])
    torch.testing.assert_close(matcher(short, objects, feats).scores[0, 0], scores[0, 1])
    nothing = TextWords(words, torch.zeros_like(said))
    assert not matcher(nothing, objects, feats).scores.any()
