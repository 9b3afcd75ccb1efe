"""SAM 3 as a model: rows of prompts, caches, a closed vocabulary, training."""

import copy
import importlib.util

import pytest
import torch
from mmengine.structures import InstanceData

from ext.sam3 import UNREACHABLE
from seg.engine.runner.activation_checkpointing import turn_on_activation_checkpointing
from seg.models.detectors import Sam3Segmentor
from seg.structures import ClipSample, Prompts
from seg.testing.concept_samples import concept_sample
from seg.utils.checks import UserError
from seg.utils.safe_loaders import install_safe_loaders

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec('transformers') is None, reason='needs transformers'
)
SIDE = 64
WORDS = ('circle', 'star', 'cross')


def toy(**settings):
    torch.manual_seed(0)
    return Sam3Segmentor('tiny', score_threshold=0.0, **settings).eval()


@pytest.fixture(scope='module')
def model():
    return toy()


def sample_of(prompts, **meta):
    sample = ClipSample(metainfo=dict(img_shape=(SIDE - 16, SIDE), ori_shape=(64, 80), **meta))
    sample.prompts = prompts
    return sample


def predict(model, embedding, prompts, **meta):
    with torch.no_grad():
        return model.predict_prompts(embedding, [sample_of(prompts, **meta)])[0]


@pytest.fixture(scope='module')
def embedding(model):
    torch.manual_seed(1)
    with torch.no_grad():
        return model.extract_feat(torch.randn(1, 1, 3, SIDE, SIDE))


def test_instances_of_phrases_at_original_size(model, embedding):
    found = predict(model, embedding, Prompts.create(texts=list(WORDS)), phrase_labels=[5, 6, 7])

    instances = found.pred_instances
    assert isinstance(instances, InstanceData)
    assert instances.masks.shape[1:] == (1, 64, 80)
    assert instances.masks.dtype == torch.bool
    assert set(instances.labels.tolist()) == {5, 6, 7}
    assert (instances.labels - instances.rows == 5).all()
    assert instances.bboxes[:, 2].max() <= 80
    assert instances.bboxes[:, 3].max() <= 64
    assert ((instances.scores >= 0) & (instances.scores <= 1)).all()
    assert found.pred_prompted.masks.shape == (3, 1, 1, 64, 80)
    assert tuple(embedding.shape[1:]) == model.embedding_shape


def test_rows_do_not_influence_each_other(model, embedding):
    boxes = torch.tensor([[float('nan')] * 4, [10.0, 20, 60, 70], [5.0, 5, 50, 50]])
    together = Prompts.create(texts=['circle', None, 'star'], boxes=boxes)
    with torch.no_grad():
        (joint,) = model.decode_prompts(embedding, [together])
        alone = [model.decode_prompts(embedding, [together[[i]]])[0] for i in range(3)]

    for row in range(3):
        torch.testing.assert_close(
            joint.mask_logits[row], alone[row].mask_logits[0], atol=1e-4, rtol=1e-3
        )


def test_a_box_changes_the_answer(model, embedding):
    box = torch.tensor([[10.0, 20, 60, 70]])
    with torch.no_grad():
        (plain,) = model.decode_prompts(embedding, [Prompts.create(texts=['circle'])])
        (shown,) = model.decode_prompts(embedding, [Prompts.create(texts=['circle'], boxes=box)])

    assert not torch.allclose(plain.mask_logits, shown.mask_logits)


def test_phrases_are_encoded_once_per_run(embedding):
    model = toy()
    calls = []
    model.text_encoder.register_forward_hook(lambda *unused: calls.append(1))
    for _ in range(2):
        predict(model, embedding, Prompts.create(texts=['circle', 'star']))
    assert len(calls) == 2
    model.train()
    model.eval()
    predict(model, embedding, Prompts.create(texts=['circle']))
    assert len(calls) == 3


def test_images_are_encoded_once_for_many_phrases():
    model = toy()
    calls = []
    model.vision_encoder.backbone.register_forward_hook(lambda *unused: calls.append(1))
    sample = sample_of(Prompts.create(texts=[f'thing {i}' for i in range(9)]))
    with torch.no_grad():
        model.predict(torch.randn(1, 1, 3, SIDE, SIDE), [sample])

    assert len(calls) == 1


def test_closed_vocabulary_gives_identical_answers(embedding):
    model = toy()
    prompts = Prompts.create(texts=['circle', None], boxes=torch.tensor([[1.0, 1, 9, 9]] * 2))
    before = predict(model, embedding, prompts).pred_instances
    model.keep_phrases(WORDS)
    after = predict(model, embedding, prompts).pred_instances
    rebuilt = toy(phrases=WORDS, drop_text_encoder=True)
    rebuilt.load_state_dict(model.state_dict())
    again = predict(rebuilt, embedding, prompts).pred_instances

    for other in (after, again):
        assert torch.equal(before.masks, other.masks)
        assert torch.equal(before.scores, other.scores)
    assert not any(name.startswith('text_') for name, _ in model.named_parameters())
    model.keep_phrases(['circle'])
    fewer = predict(model, embedding, prompts).pred_instances
    assert torch.equal(before.scores, fewer.scores)
    assert model.vocabulary.phrases == ('circle', 'visual')
    with pytest.raises(UserError, match="unknown phrase 'star'"):
        model.keep_phrases(['star'])
    with pytest.raises(UserError, match=r"unknown phrase 'dog'.*no text encoder"):
        model.embed_phrases(['dog'])


def test_prompts_that_cannot_be_answered(model, embedding):
    nothing = Prompts.create(texts=[None])
    with pytest.raises(UserError, match='expected a phrase or a box'):
        model.decode_prompts(embedding, [nothing])
    with pytest.raises(UserError, match='expected a short noun phrase'):
        model.decode_prompts(embedding, [Prompts.create(texts=[' '])])


def test_settings_that_cannot_be():
    with pytest.raises(UserError, match=r'model\.phrases: expected the phrases'):
        toy(drop_text_encoder=True)
    with pytest.raises(UserError, match=r'model\.score_threshold: expected a share'):
        Sam3Segmentor('tiny', score_threshold=30)


@pytest.mark.parametrize(
    ('name', 'error', 'message'),
    [
        (None, UserError, r'init_cfg\.checkpoint: expected weights of SAM 3, got none'),
        ('nowhere.safetensors', FileNotFoundError, 'expected weights of SAM 3, found none'),
        ('gated.safetensors', UserError, 'not a readable safetensors file'),
    ],
)
@pytest.mark.parametrize('kind', ['Pretrained', 'Inherited'])
def test_weights_to_start_from_say_where_to_ask(tmp_path, kind, name, error, message):
    install_safe_loaders()
    (tmp_path / 'gated.safetensors').write_bytes(b'Access is restricted')
    start = {} if name is None else {'checkpoint': str(tmp_path / name)}
    model = toy(init_cfg=dict(type=kind, **start))
    with pytest.raises(error, match=rf'{message}.*ask for access at https://huggingface'):
        model.init_weights()


def test_no_rows_give_no_instances(model, embedding):
    found = predict(model, embedding, Prompts.create(texts=['circle'])[[]])
    assert len(found.pred_instances) == 0
    assert len(found.pred_prompted) == 0


@pytest.mark.parametrize('exemplars', [False, True])
def test_every_trained_parameter_gets_a_gradient(exemplars):
    settings = dict(train_text=True, train_exemplars=exemplars, strategy=dict(type='TrainAll'))
    model = toy(**settings).train()
    samples = [concept_sample([0, 0, 1], [0, 2], SIDE), concept_sample([], [1], SIDE)]
    if exemplars:
        box = torch.tensor([[10.0, 10, 60, 60]])
        samples[0].prompts = Prompts.create(texts=['circle', 'cross'], boxes=box.repeat(2, 1))
    losses = model.loss(torch.randn(2, 1, 3, SIDE, SIDE), samples)
    sum(losses.values()).backward()

    missing = {name for name, v in model.named_parameters() if v.requires_grad and v.grad is None}
    assert not missing
    assert all(torch.isfinite(value) for value in losses.values())
    assert {'loss_box', 'loss_mask', 'loss_semantic_dice', 'd0.loss_presence'} <= set(losses)
    frozen = [name for name, value in model.named_parameters() if not value.requires_grad]
    assert len(frozen) > len(UNREACHABLE)
    assert exemplars == (not any(name.startswith('geometry') for name in frozen))


def test_samples_without_phrases(model):
    sample = sample_of(Prompts.create(texts=['circle']))
    with pytest.raises(UserError, match='expected samples with phrase_labels'):
        model.loss(torch.randn(1, 1, 3, SIDE, SIDE), [sample])


def check_small_parts(strategy, marker):
    """Added parts change nothing at first, and are trained with everything but the encoders."""
    plain = toy()
    model = toy(strategy=strategy)
    model.load_state_dict(plain.state_dict(), strict=False)
    images = torch.randn(1, 3, SIDE, SIDE)
    with torch.no_grad():
        torch.testing.assert_close(model.encode_images(images), plain.encode_images(images))
    sample = concept_sample([0, 1], [0, 2], SIDE)
    sum(model.train().loss(torch.randn(1, 1, 3, SIDE, SIDE), [sample]).values()).backward()
    trained = {name for name, value in model.named_parameters() if value.requires_grad}
    added = {name for name in trained if marker in name}

    assert all(model.get_parameter(name).grad is not None for name in trained)
    assert any(name.startswith('detr_decoder') for name in trained)
    assert {n for n in trained if n.startswith('vision_encoder.backbone')} == added
    return model, added


@pytest.mark.skipif(importlib.util.find_spec('peft') is None, reason='needs peft')
def test_lora_takes_all_of_attention_in_late_blocks():
    _, added = check_small_parts(dict(type='TrainLora', first_block=1), '.lora_')

    assert len(added) == 4 * 2
    assert all('.layers.1.' in name for name in added)


def test_adapters_learn_and_go_with_copies():
    model, added = check_small_parts(dict(type='TrainAdapters', hidden=4), '.adapters.')
    images = torch.randn(1, 3, SIDE, SIDE)
    block = 'vision_encoder.backbone.layers.1'
    with torch.no_grad():
        before = model.encode_images(images)
        copied = copy.deepcopy(model)
        for place in ('attn', 'mlp'):
            for changed, other in ((model, copied), (copied, model)):
                adapter = changed.get_submodule(block).adapters[place]
                adapter.down.bias.fill_(1)  # so that something passes
                adapter.up.weight.fill_(1)
                assert not torch.allclose(changed.encode_images(images), before)
                torch.testing.assert_close(other.encode_images(images), before)
                adapter.up.weight.zero_()
    assert len(added) == 2 * 2 * 4


def test_recomputed_activations_give_the_same_gradients():
    model = toy(strategy=dict(type='TrainAll')).train()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    images = torch.randn(1, 1, 3, SIDE, SIDE)
    name = 'vision_encoder.backbone.layers.0.mlp.fc1.weight'
    gradients = []
    for recompute in (False, True):
        if recompute:
            turn_on_activation_checkpointing(
                model, [f'vision_encoder.backbone.layers.{i}' for i in range(2)]
            )
        model.zero_grad()
        model.extract_feat(images).square().mean().backward()
        gradients.append(dict(model.named_parameters())[name].grad.clone())

    torch.testing.assert_close(*gradients)
