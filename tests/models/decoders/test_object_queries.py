"""Where queries of found objects come from."""

import torch

from seg.models.classifiers import LinearClassifier
from seg.models.decoders import LearnedQueries, ProposedQueries


def test_learned_queries_are_the_same_for_every_picture():
    module = LearnedQueries(5, 8, 6)
    found = module(torch.randn(3, 1, 8, 4, 4), None, LinearClassifier(2, 6))

    assert found.proposals is None
    assert found.queries.shape == (3, 5, 8)
    assert torch.equal(found.queries[0], found.queries[2])
    assert list(module.state_dict()) == ['weight']


def make_proposals(num_queries, size=(2, 3), num_frames=2):
    module, classifier = ProposedQueries(num_queries, 8, 6), LinearClassifier(2, 6)
    features = torch.randn(2, num_frames, 8, size[0] * 4, size[1] * 4)
    context = torch.randn(2, num_frames, 8, *size)
    return module(features, context, classifier), classifier


def test_every_place_proposes_and_the_least_void_ones_are_kept():
    found, classifier = make_proposals(4)
    proposals = found.proposals
    void = classifier(proposals.class_embeddings, final=False).softmax(-1)[..., -1]

    assert proposals.mask_logits.shape == (2, 12, 2, 8, 12)
    for b in range(2):
        best = void[b].argsort()[:4]
        torch.testing.assert_close(found.queries[b], proposals.queries[b, best])


def test_a_small_picture_gives_fewer_queries():
    found, _ = make_proposals(100, size=(1, 2), num_frames=1)

    assert found.queries.shape == (2, 2, 8)
