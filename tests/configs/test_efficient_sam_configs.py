"""The shipped configs of EfficientSAM: they train on the data they are for, in small."""

import importlib
import runpy

import pytest
import torch

from ext.efficient_sam import EfficientSam, efficient_sam_variant
from seg.apis import ImagePredictor, load_model
from seg.datasets.converters import WRITERS, write_shapes
from seg.engine.config_options import load_config
from seg.engine.launch import build_runner, set_mixed_precision
from seg.testing.processes import in_processes
from seg.testing.toy_efficient_sam import TOY_EFFICIENT_SAM

CANVAS = (64, 64)


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    """Shapes in COCO format, and weights like the published ones."""
    root = tmp_path_factory.mktemp('pcb')
    for _ in write_shapes(WRITERS['coco_instance'], root, 4, size=(48, 64)):
        pass
    model = EfficientSam(efficient_sam_variant(TOY_EFFICIENT_SAM))
    torch.save({'model': model.state_dict()}, root / 'base.pt')
    return root


def small(cfg, root):
    """A toy model on small pictures, for two iterations."""
    models = [cfg.model] if 'student' not in cfg.model else [cfg.model.student, cfg.model.teacher]
    for model in models:
        model.update(variant=TOY_EFFICIENT_SAM)
        model.init_cfg = dict(type='Pretrained', checkpoint=str(root / 'base.pt'))
    for name, split in (('train', 'train'), ('val', 'val'), ('test', 'val')):
        loader = cfg[f'{name}_dataloader']
        loader.update(num_workers=0, persistent_workers=False, batch_size=2)
        loader.pop('prefetch_factor', None)
        loader.dataset.update(
            ann_file=str(next(root.rglob(f'*{split}*.json'))),
            img_dir=str(next(p for p in root.rglob(f'{split}*') if p.is_dir())),
        )
        for step in loader.dataset.pipeline:
            if 'scale' in step:
                step['scale'] = CANVAS
    cfg.train_cfg.update(max_iters=2, val_interval=2)
    cfg.param_scheduler = None
    cfg.default_hooks.update(val_pictures=None, progress=None)
    cfg.vis_backends, cfg.visualizer = None, None
    return cfg


def train(cfg, path, work):
    runner = build_runner(cfg, path, work)
    runner.train()
    return {k: v.current() for k, v in runner.message_hub.log_scalars.items()}


@pytest.mark.parametrize('preset', ['quick', 'standard', 'large'])
def test_presets_train_the_decoder(repository, data, tmp_path, preset):
    path = repository / f'configs/efficient_sam/efficient_sam_ti_pcb_{preset}.py'
    values = train(small(load_config(path), data), path, tmp_path)

    assert {'train/seg_focal', 'train/seg_dice', 'train/seg_soft_iou', 'train/seg_boundary'} <= set(
        values
    )
    assert 0 <= values['val/prompt/IoU'] <= values['val/prompt/Dice'] <= 100
    saved = torch.load(tmp_path / 'best.pth', weights_only=True)
    frequencies = 'prompt_encoder.pe_layer.positional_encoding_gaussian_matrix'
    names = set(saved['state_dict']) - {frequencies}
    assert all(name.startswith('mask_decoder.') for name in names)


@pytest.mark.parametrize('name', ['ti_pcb_distill', 'ti_pcb_distill_full', 's_pcb_standard'])
def test_teachers_and_students_train(repository, data, tmp_path, name):
    path = repository / f'configs/efficient_sam/efficient_sam_{name}.py'
    cfg = small(load_config(path), data)
    for part in cfg.model.get('parts', []):
        if 'blocks' in part:
            part.blocks = [(0, 1), (1, 0)]
    if name.endswith('full'):  # recomputed activations and traced blocks
        cfg.activation_checkpointing = ['student.image_encoder.blocks.1']
    values = train(cfg, path, tmp_path)
    if 'distill' in name:
        names = {'loss_mask', 'loss_keys', 'loss_tokens', 'loss_attention', 'temperature'}
        assert {f'train/{part}' for part in (*names, 'weight_focal', 'teacher_weight')} <= set(
            values
        )
    state = torch.load(tmp_path / 'best.pth', weights_only=True)['state_dict']
    assert len(state) == len(EfficientSam(efficient_sam_variant(TOY_EFFICIENT_SAM)).state_dict())


def test_presets_are_those_of_the_guide(repository):
    expected = {'quick': (2, 5e-4, 20), 'standard': (4, 1e-4, 50), 'large': (8, 5e-5, 100)}
    for preset, (batch, rate, epochs) in expected.items():
        cfg = load_config(repository / f'configs/efficient_sam/efficient_sam_ti_pcb_{preset}.py')
        assert cfg.train_dataloader.batch_size == batch
        assert cfg.optim_wrapper.optimizer.lr == rate
        assert cfg.train_cfg.max_iters == epochs * 1000 / batch
        assert cfg.param_scheduler[1].end == cfg.train_cfg.max_iters


def test_the_demo_and_the_predictor_use_a_trained_model(repository, data, tmp_path, monkeypatch):
    path = repository / 'configs/efficient_sam/efficient_sam_ti_pcb_quick.py'
    small(load_config(path), data).dump(str(tmp_path / 'toy.py'))
    picture = next(path for path in data.rglob('*') if path.suffix in ('.jpg', '.png'))
    predictor = ImagePredictor(load_model(tmp_path / 'toy.py', data / 'base.pt'))
    predictor.set_image(picture)
    assert predictor.predict(boxes=[[3, 4, 30, 40]]).masks.shape == (1, 3, 48, 64)
    arguments = ['demo.py', '--config', str(tmp_path / 'toy.py')]
    arguments += ['--checkpoint', str(data / 'base.pt'), '--input', str(picture)]
    arguments += ['--box', '3,4,30,40', '--task', 'interactive_image', '--device', 'cpu']
    monkeypatch.setattr('sys.argv', [*arguments, '--output', str(tmp_path / 'out.png')])
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(str(repository / 'demo/demo.py'), run_name='__main__')
    assert stop.value.code in (0, None)
    assert (tmp_path / 'out.png').is_file()


@pytest.mark.skipif(torch.cuda.is_available(), reason='fork after CUDA has started')
def test_two_processes_distil_the_same_student(repository, data, tmp_path):
    """In bfloat16, with balanced losses, and with images that have no prompt on one process."""
    path = repository / 'configs/efficient_sam/efficient_sam_ti_pcb_distill.py'

    def work(rank):
        cfg = small(load_config(path), data)
        cfg.model.student.criterion.balancer.period = 1
        cfg.train_dataloader.batch_size = 1
        cfg.train_dataloader.dataset.pipeline[3].min_area = 150
        cfg.train_cfg.update(max_iters=3, val_interval=100)
        cfg.default_hooks.checkpoint.update(interval=100, save_best=None)
        cfg.experiment_name = 'distil'
        set_mixed_precision(cfg)
        runner = build_runner(cfg, path, tmp_path / 'work', launcher='pytorch')
        before = runner.model.module.state_dict()['mask_decoder.mask_tokens.weight'].clone()
        runner.train()
        balancer = runner.model.module.student.criterion.balancer
        state = {k: v.clone() for k, v in runner.model.module.state_dict().items()}
        return state, balancer.steering_state(), before

    importlib.import_module('mmcv.ops')  # so that the processes need not do it each
    (first, balance, before), (second, other, _) = in_processes(work)
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    assert all(torch.equal(value, other[name]) for name, value in balance.items())
    assert bool(balance['history'].any())
    assert not torch.equal(first['mask_decoder.mask_tokens.weight'], before)
