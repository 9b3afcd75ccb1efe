"""Small checkpoints: written, resumed from, tested and loaded on top of their base weights."""

import importlib.util

import pytest
import torch

from seg.apis import load_model
from seg.engine.hooks import TrainedWeightsHook
from seg.engine.launch import build_runner
from seg.models.peft.delta import weights_hash
from seg.registry import MODELS
from seg.testing.reference_sam import TOY_SAM, randomize
from seg.testing.toy_sam import toy_sam_config
from seg.utils.checkpoints import read_checkpoint
from seg.utils.checks import UserError

CONFIG = 'configs/sam/sam_tiny_shapes.py'
needs_peft = pytest.mark.skipif(
    importlib.util.find_spec('peft') is None, reason='peft is not installed'
)
STRATEGIES = [
    dict(type='TrainDecoder'),
    dict(type='TrainAdapters', hidden=4),
    pytest.param(dict(type='TrainLora', rank=2), marks=needs_peft),
]


def write_base(folder, seed=0, key='model_state_dict'):
    model = MODELS.build(dict(type='SamSegmentor', variant=TOY_SAM))
    randomize(model, seed)
    path = folder / f'base{seed}.pth'
    torch.save({key: model.state_dict()}, path)
    return path


def config(repository, base, strategy, **changes):
    pretrained = dict(type='Pretrained', checkpoint=str(base))
    cfg = toy_sam_config(repository / CONFIG, strategy=strategy, init_cfg=pretrained)
    cfg.custom_hooks = [dict(type=TrainedWeightsHook)]
    cfg.merge_from_dict(changes)
    return cfg


@pytest.mark.parametrize('strategy', STRATEGIES)
def test_small_checkpoints_resume_test_and_load(repository, tmp_path, strategy):
    base = write_base(tmp_path)
    path = repository / CONFIG
    runner = build_runner(config(repository, base, strategy), path, tmp_path / 'work')
    runner.train()
    trained = {k: v.clone() for k, v in runner.model.state_dict().items()}
    saved = read_checkpoint(tmp_path / 'work/iter_4.pth')

    names = {n for n, p in runner.model.named_parameters() if p.requires_grad}
    buffer = 'prompt_encoder.pe_layer.positional_encoding_gaussian_matrix'
    assert set(saved['state_dict']) == names | {buffer}

    cfg = config(repository, base, strategy, load_from=str(tmp_path / 'work/best.pth'))
    metrics = build_runner(cfg, path, tmp_path / 'test').test()
    assert 0 <= metrics['prompt/IoU'] <= 100
    assert metrics['prompt/loss_seg'] > 0

    cfg = config(repository, base, strategy, resume=True)
    cfg.train_cfg.max_iters = 5
    resumed = build_runner(cfg, path, tmp_path / 'work')
    resumed.train()
    assert resumed.iter == 5

    file = tmp_path / 'config.py'
    pretrained = dict(type='Pretrained', checkpoint=str(base))
    settings = dict(variant=TOY_SAM, image_size=64, strategy=strategy, init_cfg=pretrained)
    file.write_text(f'model = {dict(type="SamSegmentor", **settings)!r}')
    model = load_model(file, tmp_path / 'work/iter_4.pth', 'cpu')
    assert all(torch.equal(v, trained[k]) for k, v in model.state_dict().items())


def test_other_base_weights_are_an_error(repository, tmp_path):
    strategy = dict(type='TrainDecoder')
    cfg = config(repository, write_base(tmp_path), strategy)
    build_runner(cfg, repository / CONFIG, tmp_path / 'work').train()
    other = config(
        repository,
        write_base(tmp_path, seed=1),
        strategy,
        load_from=str(tmp_path / 'work/iter_4.pth'),
    )
    runner = build_runner(other, repository / CONFIG, tmp_path / 'test')
    with pytest.raises(UserError, match=r'holds only what was trained.*model\.init_cfg'):
        runner.test()


def test_weights_to_start_from_must_be_those_of_a_sam(repository, tmp_path):
    torch.save({'model': {'weight': torch.zeros(3)}}, tmp_path / 'other.pth')
    cfg = config(repository, tmp_path / 'other.pth', dict(type='TrainDecoder'))
    with pytest.raises(UserError, match='cannot load'):
        build_runner(cfg, repository / CONFIG, tmp_path / 'work').train()


def test_the_fingerprint_sees_values_names_and_types():
    state = dict(a=torch.zeros(3), b=torch.ones(2))
    first = weights_hash(state, ['a', 'b'])

    assert first == weights_hash(state, ['b', 'a'])
    assert first != weights_hash({**state, 'a': torch.tensor([0, 0, 1e-9])}, ['a', 'b'])
    assert first != weights_hash({**state, 'a': torch.zeros(3).half()}, ['a', 'b'])
    assert first != weights_hash(state, ['a'])
