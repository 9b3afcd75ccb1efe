"""Losses that change during a training: they resume exactly and can be watched."""

import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from seg.engine.config_options import load_config
from seg.engine.hooks import SteeringHook
from seg.engine.launch import build_runner
from seg.models.detectors import Distiller
from seg.registry import MODELS
from seg.testing.toy_efficient_sam import TOY_EFFICIENT_SAM
from seg.utils.checkpoints import write_safetensors

CANVAS = (64, 64)


def teacher_config(folder):
    """A small teacher whose weights are in a file."""
    teacher = dict(
        type='EfficientSamSegmentor', variant={**TOY_EFFICIENT_SAM, 'embed_dim': 36, 'depth': 3}
    )
    weights = folder / 'teacher.safetensors'
    if not weights.exists():
        write_safetensors(weights, MODELS.build(dict(teacher)).state_dict(), {})
    return {**teacher, 'init_cfg': dict(type='Pretrained', checkpoint=str(weights))}


def toy_config(repository, folder, resume=False):
    """A distillation with projections, a moving schedule and balanced losses, on Shapes."""
    cfg = load_config(repository / 'configs/efficient_sam/efficient_sam_tiny_shapes.py')
    student = cfg.model
    student.update(variant=TOY_EFFICIENT_SAM, image_size=CANVAS[0])
    balancer = dict(type='DynamicWeightAverage', period=1)
    student.criterion.update(balancer=balancer)
    parts = [dict(type='MaskDistillation', min_teacher_iou=0.0)]
    parts += [dict(type='BlockFeatureDistillation', blocks=[(1, 2)])]
    cfg.model = dict(
        type=Distiller, student=student, teacher=teacher_config(folder), parts=parts,
        schedule=dict(mode='increase', hold=0.0),
    )  # fmt: skip
    cfg.custom_hooks = [*cfg.custom_hooks, dict(type=SteeringHook)]
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        loader = cfg[name]
        loader.update(batch_size=2, num_workers=0, persistent_workers=False)
        loader.dataset.update(num_samples=8 if name == 'train_dataloader' else 2)
        for step in loader.dataset.pipeline:
            if 'scale' in step:
                step['scale'] = CANVAS
    cfg.train_cfg.update(max_iters=4, val_interval=100)
    cfg.default_hooks.checkpoint.update(interval=2, save_best=None)
    cfg.default_hooks.update(val_pictures=None, progress=None)
    cfg.default_hooks.logger.update(interval=2)
    cfg.resume = resume
    return cfg


def curves(folder):
    """Names of the curves that TensorBoard shows."""
    names = set()
    for file in folder.rglob('events.out.tfevents.*'):
        events = EventAccumulator(str(file))
        events.Reload()
        names |= set(events.Tags()['scalars'])
    return {name.removeprefix('train/') for name in names}


def test_a_resumed_distillation_is_the_same_to_the_bit(repository, tmp_path):
    path = repository / 'configs/efficient_sam/efficient_sam_tiny_shapes.py'
    torch.manual_seed(0)
    whole = build_runner(toy_config(repository, tmp_path), path, tmp_path)
    whole.train()
    expected = whole.model.state_dict()
    scalars = {k: v.current() for k, v in whole.message_hub.log_scalars.items()}
    watched = {'temperature', 'label_weight', 'teacher_weight', 'loss_mask', 'loss_blocks'}
    watched |= {'loss_seg', 'loss_iou', 'seg_dice', 'weight_dice', 'weight_iou'}
    assert {f'train/{name}' for name in watched} <= set(scalars)
    assert watched <= curves(tmp_path)
    assert scalars['train/temperature'] == 4 - 3 * 3 / 4
    assert scalars['train/weight_dice'] != 1
    assert not any('projections' in name or 'balancer' in name for name in expected)

    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'iter_2.pth'))
    (tmp_path / 'iter_4.pth').unlink()
    rest = build_runner(toy_config(repository, tmp_path, resume=True), path, tmp_path)
    rest.train()
    assert all(
        torch.equal(value, expected[name]) for name, value in rest.model.state_dict().items()
    )
    for name, value in whole.model.steering_state().items():
        assert torch.equal(value, rest.model.steering_state()[name])
    own, other = (x.model.student.criterion.balancer.history for x in (whole, rest))
    assert torch.equal(own, other)
    assert bool(own.any())
