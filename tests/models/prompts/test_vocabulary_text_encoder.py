import pytest
import torch
from mmengine.logging import MMLogger

from seg.datasets.shapes import SHAPES_VOCABULARY
from seg.models.prompts import VocabularyTextEncoder
from seg.models.prompts.texts import check_texts
from seg.registry import MODELS
from seg.utils.checks import UserError

PHRASES = ['the red disc', 'the small star left of the blue ring', 'the leftmost hourglass']


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def encoder(seed=0, **settings):
    torch.manual_seed(seed)
    return VocabularyTextEncoder(SHAPES_VOCABULARY, **settings)


@pytest.fixture
def warnings_seen(caplog):
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    yield lambda: [record.message for record in caplog.records]
    logger.removeHandler(caplog.handler)


def test_the_tower_for_shapes_is_small_and_in_the_checkpoint():
    model = MODELS.build(
        {'type': 'VocabularyTextEncoder', 'vocabulary': SHAPES_VOCABULARY, 'embed_channels': 96}
    )
    assert sum(p.numel() for p in model.parameters()) < 250_000
    assert model.embed_channels == 96
    assert set(model.state_dict()) == {name for name, _ in model.named_parameters()}


def test_embeddings_are_float32_rows_of_the_phrases():
    model = encoder().eval()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert model(PHRASES).dtype == torch.float32
    embeddings = model(PHRASES)
    assert embeddings.shape == (3, 96)
    assert torch.pdist(embeddings).min() > 0.1


def test_a_phrase_means_the_same_beside_longer_ones_and_in_any_writing():
    model = encoder().eval()
    alone = model(['the red disc'])[0]
    together = model([*PHRASES, ' The  RED\tdisc\n'])
    torch.testing.assert_close(together[0], alone)
    torch.testing.assert_close(together[3], alone)


def test_the_order_of_words_matters():
    first, second = encoder().eval()(['the disc left of the star', 'the star left of the disc'])
    assert (first - second).norm() > 0.05


def test_no_phrases_give_no_rows():
    assert encoder()([]).shape == (0, 96)


def test_every_parameter_learns():
    model = encoder()
    model(PHRASES).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.any(), name


def test_unknown_words_share_a_token_and_known_ones_do_not():
    model = encoder().eval()
    unknown = model(['the zebra disc', 'the turquoise disc', 'the red disc'])
    torch.testing.assert_close(unknown[0], unknown[1])
    assert (unknown[0] - unknown[2]).norm() > 0.05


def test_known_tokens_are_dropped_in_training_only():
    model = encoder(unknown_prob=0.5)
    assert not torch.equal(model(PHRASES), model(PHRASES))
    torch.testing.assert_close(model.eval()(PHRASES), model(PHRASES))


def test_the_order_of_the_vocabulary_does_not_matter():
    turned = VocabularyTextEncoder(SHAPES_VOCABULARY[::-1])
    model = encoder().eval()
    turned.load_state_dict(model.state_dict())
    torch.testing.assert_close(turned.eval()(PHRASES), model(PHRASES))


def test_no_expression_of_shapes_is_cut_or_has_unknown_words():
    model = encoder()
    longest = 'the leftmost large purple hourglass right of the purple hourglass'
    rows = model._token_rows([longest])
    assert (rows == 0).any()
    assert not (rows == 2).any()


def test_an_over_long_text_is_cut_with_one_warning(warnings_seen):
    model = encoder().eval()
    words = 'red disc blue ' * 20
    first, again = model([words])[0], model([words])[0]
    torch.testing.assert_close(first, again)
    torch.testing.assert_close(model([' '.join(words.split()[:22])])[0], first)
    (message,) = warnings_seen()
    assert 'is too long for this model and is cut after 22 tokens' in message


def test_words_that_were_not_taught_are_named_once(warnings_seen):
    model = encoder().eval()
    model(['a Zebra left of the disc', 'the disc'])
    model(['the disc', 'a  zebra LEFT of the star'])
    (message,) = warnings_seen()
    assert "not taught the words 'a, zebra' and" in message


def test_words_that_are_dropped_in_training_are_not_told(warnings_seen):
    encoder(unknown_prob=0.9)(['the red disc beside a zebra'])
    encoder(unknown_prob=0.9).eval()(['the red disc'])
    assert warnings_seen() == []


def test_a_huge_text_does_not_take_long():
    assert encoder().eval()(['abc' * 1_000_000, 'abc ' * 500_000]).isfinite().all()


@pytest.mark.parametrize(
    ('texts', 'message'),
    [
        ('the red disc', r"texts: expected a list of phrases, got the string 'the red disc'"),
        (['the disc', ''], r"texts\[1\]: expected words .* blank text ''"),
        ([' \t\n'], r'texts\[0\]: expected words'),
        (['\u200b', None], r'texts\[1\]: expected a string, got None'),
        ([b'disc'], r"texts\[0\]: expected a string, got b'disc' \(bytes\)"),
        (['red \udcff disc'], r'texts\[0\]: expected valid Unicode, got .* character 4 cannot'),
    ],
)
def test_what_cannot_be_encoded_is_named(texts, message):
    with pytest.raises(UserError, match=message):
        check_texts(texts)
    with pytest.raises(UserError, match=message):
        encoder()(texts)


@pytest.mark.parametrize(
    ('vocabulary', 'settings', 'message'),
    [
        ((), {}, 'vocabulary: expected at least one word'),
        (('red', ''), {}, r'texts\[1\]'),
        (('red',), {'num_heads': 5}, 'embed_channels, num_layers, num_heads'),
        (('red',), {'context_length': 2}, 'context_length'),
        (('red',), {'unknown_prob': 1.0}, 'unknown_prob'),
    ],
)
def test_bad_settings_are_refused(vocabulary, settings, message):
    with pytest.raises(UserError, match=message):
        VocabularyTextEncoder(vocabulary, **settings)


def test_tokens_follow_the_model_to_its_device():
    embedded = encoder().to('meta')(['the red disc'])
    assert embedded.device.type == 'meta'
    assert len(embedded) == 1
