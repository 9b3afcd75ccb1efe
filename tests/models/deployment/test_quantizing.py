"""Linear layers in 8 bits answer nearly the same."""

import warnings

import numpy as np
import pytest
import torch
from torch import nn

from seg.apis import load_model
from seg.apis.loading import read_config
from seg.apis.model_zoo import DEFAULT_MODEL
from seg.benchmark.workloads import interactive_workload
from seg.models.deployment import quantize
from seg.registry import MODELS
from seg.testing.concept_samples import write_untrained_sam3
from seg.testing.tiny_rapsam import tiny_rapsam_cfg
from seg.utils.checks import UserError


@torch.no_grad()
def test_a_whole_model_predicts_nearly_the_same():
    torch.manual_seed(0)
    model = MODELS.build(tiny_rapsam_cfg()).eval()
    inputs = torch.randn(1, 1, 3, 64, 96)
    before = model(inputs, mode='tensor')[-1].class_logits
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        small = quantize(model)
    after = small(inputs, mode='tensor')[-1].class_logits

    assert not after.equal(before), 'something was rounded'
    likeness = torch.cosine_similarity(after.flatten(), before.flatten(), dim=0)
    assert float(likeness) > 0.95, 'untrained weights make large errors of small ones'
    assert model(inputs, mode='tensor')[-1].class_logits.equal(before), 'the original stays'


def test_linear_layers_become_small():
    plain = nn.Sequential(nn.Linear(64, 64), nn.Conv2d(1, 1, 1))
    small = quantize(plain)

    assert small[0].weight().dtype == torch.qint8
    assert isinstance(small[1], nn.Conv2d)


@torch.no_grad()
def test_sentences_are_read_as_before():
    head = load_model(DEFAULT_MODEL, device='cpu').head
    texts = ['the red disc', 'the largest striped square on the left']
    small = quantize(head)

    assert isinstance(head.stages[0].class_fc, nn.Linear)
    assert not isinstance(small.stages[0].class_fc, nn.Linear)
    before, after = (part.prompt_encoder.fusion.text_encoder(texts) for part in (head, small))
    assert after.equal(before)
    before, after = (part.prompt_encoder.fusion.words([texts]) for part in (head, small))
    assert after.said.equal(before.said)
    likeness = torch.cosine_similarity(after.embeddings.flatten(), before.embeddings.flatten(), 0)
    assert float(likeness) > 0.99


@pytest.mark.parametrize(
    'config', ['sam/sam_tiny_shapes.py', 'efficient_sam/efficient_sam_tiny_shapes.py']
)
@torch.inference_mode()
def test_promptable_models_answer_clicks(repository, config):
    torch.manual_seed(0)
    model = MODELS.build(read_config(repository / 'configs' / config).model).eval()
    answers = []
    for answering in (model, quantize(model)):
        load = interactive_workload(answering, (64, 64), 1, 'both')
        load.reset()
        answers.append(load.step(0))

    assert answers[0].masks.shape == answers[1].masks.shape
    assert not np.array_equal(answers[0].iou_scores, answers[1].iou_scores), 'something was rounded'
    np.testing.assert_allclose(answers[0].iou_scores, answers[1].iou_scores, atol=0.1)


@torch.no_grad()
def test_phrases_are_encoded(repository, tmp_path):
    pytest.importorskip('transformers')
    write_untrained_sam3(repository / 'configs/sam3/sam3_tiny_shapes.py', tmp_path)
    model = load_model(tmp_path / 'config.py', tmp_path / 'sam3.pth', device='cpu')
    before, after = (part._encode_phrases(['red'])[0] for part in (model, quantize(model)))

    assert not after.equal(before), 'something was rounded'
    likeness = torch.cosine_similarity(after.flatten(), before.flatten(), dim=0)
    assert float(likeness) > 0.99


def test_other_types_are_refused():
    with pytest.raises(UserError, match=r'expected fp32 weights on the CPU, got torch\.bfloat16'):
        quantize(nn.Linear(2, 2).bfloat16())
