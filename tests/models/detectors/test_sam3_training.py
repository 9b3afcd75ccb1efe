"""Training SAM 3 in 16 bits and in several processes, which must all do the same in a step."""

import importlib.util
from dataclasses import asdict

import pytest
import torch
from mmengine.model import MMDistributedDataParallel
from torch import distributed as torch_dist

from ext.sam3 import SAM3_VARIANTS
from seg.engine.runner import MixedPrecisionOptimWrapper
from seg.models.detectors import Sam3Segmentor
from seg.registry import MODELS
from seg.structures import Prompts
from seg.testing.concept_samples import concept_sample
from seg.testing.processes import in_fresh_interpreter, in_processes
from seg.utils.checks import UserError

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec('transformers') is None, reason='needs transformers'
)
needs_fork = pytest.mark.skipif(torch.cuda.is_available(), reason='fork after CUDA has started')
SIDE = 64
TRAINED = dict(train_text=True, train_exemplars=True, strategy=dict(type='TrainAll'))


def toy():
    torch.manual_seed(0)
    model = Sam3Segmentor('tiny', **TRAINED)
    model.init_weights()
    return model.train()


def named():
    return concept_sample([0, 0, 1], [0, 2], SIDE)


def absent():
    return concept_sample([], [1], SIDE)


def shown():
    sample = named()
    box = torch.tensor([[5.0, 5, 40, 40]])
    sample.prompts = Prompts.create(texts=['circle', None], boxes=box.repeat(2, 1))
    return sample


def silent():
    sample = concept_sample([0], [], SIDE)
    assert not len(sample.prompts)
    return sample


def images(seed=0):
    return torch.randn(1, 1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))


def train_one_of_two(rank, steps):
    """Weights after some steps, without a search for parameters that took no part."""
    torch_dist.init_process_group('gloo')
    model = MMDistributedDataParallel(toy(), find_unused_parameters=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    for number, step in enumerate(steps):
        optimizer.zero_grad()
        losses = model(images(2 * number + rank), [step[rank]()], mode='loss')
        model.module.parse_losses(losses)[0].backward()
        missing = [
            name
            for name, value in model.module.named_parameters()
            if value.requires_grad and value.grad is None
        ]
        assert not missing
        optimizer.step()
    return {name: value.detach() for name, value in model.module.named_parameters()}


@needs_fork
@in_fresh_interpreter
def test_processes_stay_in_step_whatever_they_are_asked():
    steps = [(named, absent), (named, silent), (silent, shown), (silent, silent), (shown, named)]
    first, second = in_processes(lambda rank: train_one_of_two(rank, steps))
    start = dict(toy().named_parameters())

    for name, value in first.items():
        assert torch.equal(value, second[name]), f'{name} differs between the processes'
        if start[name].requires_grad and name.endswith('weight'):
            assert not torch.equal(value, start[name]), f'{name} was not trained'


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_training_in_16_bits_has_losses_in_32(monkeypatch, dtype):
    """On a CPU, where float16 is refused because it is slow; the arithmetic is the same."""
    monkeypatch.setattr('seg.engine.runner.amp_optim_wrapper._choose_dtype', lambda *_: dtype)
    model = toy()
    optimizer = torch.optim.AdamW([v for v in model.parameters() if v.requires_grad], lr=1e-4)
    wrapper = MixedPrecisionOptimWrapper(optimizer, loss_scale=256.0, clip_grad=dict(max_norm=1.0))
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    with wrapper.optim_context(model):
        losses = model(images(), [shown()], mode='loss')
    assert {value.dtype for value in losses.values()} == {torch.float32}
    wrapper.update_params(model.parse_losses(losses)[0])

    for name, value in model.named_parameters():
        assert torch.isfinite(value).all()
        if name.endswith('weight'):
            assert torch.equal(value, before[name]) != value.requires_grad, name
    assert wrapper._scaler.is_enabled() == (dtype == torch.float16)
    if dtype == torch.float16:
        assert wrapper._scaler.get_scale() == 256.0  # no step was left out


def test_losses_in_16_bits_are_near_those_in_32():
    model, sample = toy().eval(), named()
    plain = model.loss(images(), [sample])
    with torch.autocast('cpu', torch.bfloat16):
        coarse = model.loss(images(), [sample])

    for name in ('loss_box', 'loss_giou', 'loss_presence', 'loss_semantic'):
        torch.testing.assert_close(coarse[name], plain[name], rtol=0.1, atol=0.05)


def distiller(**part):
    """A narrow student of a teacher with a wider image encoder."""
    torch.manual_seed(0)
    wide = asdict(SAM3_VARIANTS['tiny']) | dict(vit_dim=128, vit_heads=4)
    return MODELS.build(
        dict(
            type='Distiller',
            student=dict(type='Sam3Segmentor', variant='tiny', strategy=dict(type='TrainAll')),
            teacher=dict(type='Sam3Segmentor', variant=wide),
            parts=[dict(type='EmbeddingDistillation', **part)],
        )
    ).train()


def test_the_coarse_map_is_distilled():
    width = SAM3_VARIANTS['tiny'].width
    model = distiller(channels=width)
    losses = model(images(), [named()], mode='loss')
    losses['loss_embed_mse'].backward()
    pictures = images().flatten(0, 1)
    with torch.no_grad():
        maps = [part.encode_images(pictures)[:, :width] for part in (model.student, model.teacher)]
    moved = {name for name, v in model.student.named_parameters() if v.grad is not None}

    torch.testing.assert_close(losses['loss_embed_mse'], (maps[0] - maps[1]).square().mean())
    assert moved
    assert all(name.startswith('vision_encoder.') for name in moved)
    assert all(
        bool(model.student.get_parameter(name).grad.any())
        for name in moved
        if 'fpn_layers.2' in name or ('backbone.layers' in name and name.endswith('weight'))
    )
    assert all(value.grad is None for value in model.teacher.parameters())


@pytest.mark.parametrize('channels', [0, 10_000])
def test_channels_that_are_not_there(channels):
    with pytest.raises(UserError, match=r'EmbeddingDistillation\.channels: expected at'):
        distiller(channels=channels)
