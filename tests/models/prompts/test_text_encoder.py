import copy
import pickle
from typing import ClassVar

import pytest
import torch
from mmengine.model import BaseModule

from seg.models.prompts import TextEncoder
from seg.registry import MODELS
from seg.utils.checks import UserError


@MODELS.register_module()
class LengthTextBackbone(BaseModule):
    """Says how long a phrase is, and counts what it was asked."""

    built = 0
    asked: ClassVar[list[str]] = []

    def __init__(self, checkpoint='here'):
        super().__init__()
        self.embed_channels = 3
        self.checkpoint = checkpoint
        self.scale = torch.nn.Parameter(torch.tensor([1.0, 2.0, 3.0]))

    def init_weights(self):
        if self.checkpoint == 'absent':
            raise FileNotFoundError('CLIP weights: expected a file (looked for /absent)')
        type(self).built += 1

    def forward(self, texts):
        type(self).asked += texts
        return self.scale * torch.tensor([[float(len(text))] for text in texts])


@pytest.fixture(autouse=True)
def fresh_counts():
    LengthTextBackbone.built = 0
    LengthTextBackbone.asked = []


def encoder(cache_size=100, **settings):
    backbone = {'type': 'LengthTextBackbone', **settings}
    return MODELS.build({'type': 'TextEncoder', 'backbone': backbone, 'cache_size': cache_size})


def test_the_tower_is_no_part_of_the_model():
    model = torch.nn.Sequential(encoder())
    model[0](['dog'])
    assert model[0].embed_channels == 3
    assert not model.state_dict()
    assert not list(model.parameters())
    assert len(list(model.modules())) == 2


def test_rows_follow_the_phrases():
    embeddings = encoder()(['dog', 'a bear', 'dog'])
    torch.testing.assert_close(embeddings[:, 0], torch.tensor([3.0, 6.0, 3.0]))
    assert embeddings.dtype == torch.float32
    assert not embeddings.requires_grad


def test_a_phrase_is_encoded_once():
    model = encoder()
    model(['dog', 'cat', 'dog'])
    model(['cat', 'bear'])
    assert LengthTextBackbone.asked == ['dog', 'cat', 'bear']
    assert LengthTextBackbone.built == 1


def test_the_least_recently_used_phrase_is_forgotten():
    model = encoder(cache_size=2)
    for texts in (['dog', 'cat'], ['dog'], ['bear'], ['dog', 'cat']):
        model(texts)
    assert LengthTextBackbone.asked == ['dog', 'cat', 'bear', 'cat']


def test_more_phrases_than_are_remembered_or_fit_a_batch():
    texts = ['x' * length for length in range(1, 600)]
    embeddings = encoder(cache_size=5)(texts)
    torch.testing.assert_close(embeddings[:, 0], torch.arange(1.0, 600.0))


def test_the_tower_is_loaded_with_the_first_phrase_or_with_the_weights():
    model = encoder()
    assert model([]).shape == (0, 3)
    assert LengthTextBackbone.built == 0
    model.init_weights()
    assert LengthTextBackbone.built == 1
    model(['dog'])
    assert LengthTextBackbone.built == 1


def test_copies_share_the_tower_and_pickles_load_it_again():
    model = encoder()
    model(['dog'])
    copy.deepcopy(model)(['cat'])
    assert LengthTextBackbone.built == 1
    pickle.loads(pickle.dumps(model))(['bear'])
    assert LengthTextBackbone.built == 2


@pytest.mark.parametrize('ask', [lambda m: m.init_weights(), lambda m: m(['dog'])])
def test_absent_weights_are_an_error_each_time(ask):
    model = encoder(checkpoint='absent')
    for _ in range(2):
        with pytest.raises(FileNotFoundError, match='looked for /absent'):
            ask(model)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs CUDA')
def test_embeddings_are_on_the_device_of_the_model():
    model = torch.nn.Sequential(encoder()).cuda()
    assert model[0]([]).device.type == 'cuda'


@pytest.mark.parametrize('texts', [['dog', ' '], ['\ud800'], 'dog', [None]])
def test_what_cannot_be_encoded_is_refused_before_the_tower_is_loaded(texts):
    with pytest.raises(UserError, match='texts'):
        encoder()(texts)
    assert LengthTextBackbone.built == 0


def test_nonsense_settings_are_refused():
    with pytest.raises(UserError, match='cache_size'):
        TextEncoder({'type': 'LengthTextBackbone'}, cache_size=0)
