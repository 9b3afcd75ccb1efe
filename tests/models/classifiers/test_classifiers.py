"""Class embeddings to logits."""

import math

import pytest
import torch
from torch.nn import functional as F

from seg.models.classifiers import LinearClassifier, TextEmbeddingClassifier
from seg.utils.checkpoints import load_weights


def make_text(num_classes=4, num_prototypes=3, width=6, **settings):
    classifier = TextEmbeddingClassifier(num_classes, width, **settings)
    classifier.set_prototypes(F.normalize(torch.randn(num_classes, num_prototypes, width), dim=-1))
    return classifier


def test_logits_are_scaled_cosines_to_the_best_prototype():
    classifier, embeddings = make_text(), torch.randn(2, 5, 6)
    logits = classifier(embeddings, final=True)
    scale = math.exp(4.6052)

    assert logits.shape == (2, 5, 5)
    for b in range(2):
        for q in range(5):
            for k in range(4):
                cosines = [
                    F.cosine_similarity(embeddings[b, q], p, dim=0)
                    for p in classifier.prototypes[k]
                ]
                torch.testing.assert_close(logits[b, q, k], scale * max(cosines))


def test_no_object_is_exactly_zero():
    classifier = make_text(temperature=0.1)

    for final in (True, False):
        assert not classifier(100 * torch.randn(2, 5, 6), final=final)[..., -1].any()


def test_bounds_are_100_at_the_end_and_1000_before():
    classifier = make_text(temperature=0.1)
    aligned = classifier.prototypes[:, 0][None] * 7.0  # the length does not matter
    final, stage = classifier(aligned, final=True), classifier(aligned, final=False)

    assert final.max() == pytest.approx(100.0030, abs=1e-3)
    assert stage.max() == pytest.approx(1000.030, abs=1e-2)
    torch.testing.assert_close(stage, final * 10)


def test_temperature_one_leaves_stages_alike():
    classifier, embeddings = make_text(), torch.randn(1, 3, 6)

    assert torch.equal(classifier(embeddings, final=True), classifier(embeddings, final=False))


def test_repeated_synonyms_change_nothing():
    classifier, embeddings = make_text(num_prototypes=1), torch.randn(1, 3, 6)
    before = classifier(embeddings, final=True)
    classifier.set_prototypes(classifier.prototypes.repeat(1, 4, 1))

    torch.testing.assert_close(classifier(embeddings, final=True), before)


def test_without_a_file_prototypes_are_the_same_every_time():
    first, second = (TextEmbeddingClassifier(5, 8).prototypes for _ in range(2))

    assert torch.equal(first, second)
    torch.testing.assert_close(first.norm(dim=-1), torch.ones(5, 1))


def test_prototypes_are_saved_but_not_trained():
    classifier = make_text()

    assert list(classifier.parameters()) == []
    assert list(classifier.state_dict()) == ['prototypes']


def test_logits_stay_in_float32_under_autocast():
    classifier, embeddings = make_text(temperature=0.1), torch.randn(1, 3, 6)
    with torch.autocast('cpu', torch.bfloat16):
        logits = classifier(embeddings, final=False)

    assert logits.dtype == torch.float32
    assert torch.equal(logits, classifier(embeddings, final=False))


def test_an_embedding_of_zeros_gives_finite_logits():
    assert torch.isfinite(make_text()(torch.zeros(1, 2, 6), final=True)).all()


@pytest.mark.parametrize('shape', [(3, 1, 6), (4, 1, 7), (4, 6)])
def test_prototypes_of_another_label_space_are_refused(shape):
    with pytest.raises(ValueError, match=r'expected shape \(4 classes, P, 6\)'):
        make_text().set_prototypes(torch.ones(shape))


def test_prototypes_that_are_no_unit_vectors_are_refused():
    with pytest.raises(ValueError, match='unit vectors'):
        make_text().set_prototypes(torch.ones(4, 1, 6))


def test_a_checkpoint_may_bring_another_number_of_prototypes():
    saved, fresh = make_text(num_prototypes=5), TextEmbeddingClassifier(4, 6)
    load_weights(fresh, saved.state_dict())

    assert torch.equal(fresh.prototypes, saved.prototypes)


@pytest.mark.parametrize('sizes', [dict(num_classes=7), dict(width=8)])
def test_a_checkpoint_of_other_classes_does_not_load(sizes):
    fresh = TextEmbeddingClassifier(4, 6)
    before = fresh.prototypes.clone()
    saved = make_text(**sizes).state_dict()

    with pytest.raises(ValueError, match='prototypes'):
        load_weights(fresh, saved)
    with pytest.raises(RuntimeError, match='size mismatch for prototypes'):
        fresh.load_state_dict(saved)
    assert torch.equal(fresh.prototypes, before)


def test_missing_embedding_file_is_named_when_weights_are_made(tmp_path):
    classifier = TextEmbeddingClassifier(4, 6, embedding_file=str(tmp_path / 'no.safetensors'))

    with pytest.raises(FileNotFoundError, match=r'no\.safetensors.*gen_cls'):
        classifier.init_weights()


def test_linear_classifier_has_a_logit_for_no_object():
    classifier, embeddings = LinearClassifier(4, 6), torch.randn(2, 3, 6)

    assert classifier(embeddings, final=True).shape == (2, 3, 5)
    assert torch.equal(classifier(embeddings, final=True), classifier(embeddings, final=False))
