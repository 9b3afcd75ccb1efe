"""The JSON file of the EfficientSAM fine-tuning guide as a config of this package."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seg.apis.guide_config import fill_guide
from seg.utils.checks import UserError, unknown_name_message
from seg.utils.lenient_json import read_lenient_json

BASE_CONFIG = 'efficient_sam_ti_pcb_standard'
"""The config that imported ones build on, in ``configs/efficient_sam``."""

# Every key of the guide with its default, and what this package adds: checkpoints, progressive,
# adaptive_weights. None stands for an optional text.
GUIDE_DEFAULTS: dict[str, Any] = {
    'model': {
        'student_variant': 'vitt',
        'teacher_variant': None,
        'student_checkpoint': None,
        'teacher_checkpoint': None,
        'freeze_encoder': True,
        'freeze_prompt_encoder': True,
    },
    'dataset': {
        'train_root': 'data/pcb/train',
        'train_annotation': 'data/pcb/train/annotations.json',
        'val_root': 'data/pcb/val',
        'val_annotation': 'data/pcb/val/annotations.json',
        'target_size': 1024,
        'max_objects': 10,
        'iou_threshold': 0.5,
        'random_box_augmentation': True,
        'box_noise_scale': 0.1,
    },
    'training': {
        'epochs': 50,
        'batch_size': 4,
        'learning_rate': 1e-4,
        'optimizer': 'adamw',
        'scheduler': 'cosine',
        'weight_decay': 1e-4,
        'warmup_epochs': 5,
        'grad_clip_norm': 1.0,
        'num_workers': 4,
        'seed': 0,
    },
    'losses': {
        'focal_alpha': 0.25,
        'focal_gamma': 2.0,
        'focal_weight': 20.0,
        'dice_weight': 1.0,
        'iou_weight': 1.0,
        'boundary_weight': 0.5,
        'adaptive_weights': 'none',
    },
    'distillation': {
        'enabled': True,
        'temperature': 4.0,
        'alpha': 0.7,
        'beta': 0.3,
        'feature_distillation': False,
        'attention_distillation': False,
        'progressive': False,
    },
    'output': {'save_dir': 'work_dirs/efficient_sam'},
}
# Shorter spellings of the guide's text.
_ALIASES = {'batch': 'batch_size', 'lr': 'learning_rate', 'warmup': 'warmup_epochs'}

_VARIANTS = ('vitt', 'vits')
_OPTIMIZERS = {'adamw': 'AdamW', 'adam': 'Adam', 'sgd': 'SGD'}
_SCHEDULERS = ('cosine', 'onecycle', 'step')
_BALANCERS = {
    'none': None,
    'dwa': 'DynamicWeightAverage',
    'uncertainty': 'UncertaintyWeights',
    'ema_ratio': 'EmaRatio',
}
# Smallest and largest numbers, both allowed.
_RANGES = {
    'dataset.target_size': (16, math.inf),
    'dataset.max_objects': (1, math.inf),
    'dataset.iou_threshold': (0, 1),
    'dataset.box_noise_scale': (0, 1),
    'training.epochs': (1, math.inf),
    'training.batch_size': (1, math.inf),
    'training.weight_decay': (0, math.inf),
    'training.warmup_epochs': (0, math.inf),
    'training.num_workers': (0, math.inf),
    'training.seed': (0, math.inf),
    'losses.focal_alpha': (0, 1),
    'losses.focal_gamma': (0, math.inf),
    'losses.focal_weight': (0, math.inf),
    'losses.dice_weight': (0, math.inf),
    'losses.iou_weight': (0, math.inf),
    'losses.boundary_weight': (0, math.inf),
    'distillation.alpha': (0, math.inf),
    'distillation.beta': (0, math.inf),
}
_POSITIVE = ('training.learning_rate', 'training.grad_clip_norm', 'distillation.temperature')
_PATCH = 16


def read_efficient_sam_guide(path: Path) -> dict[str, Any]:
    """Read the JSON file, comments and all, and fill in the guide's defaults.

    Raises:
        FileNotFoundError: If there is no such file.
        UserError: If it cannot be parsed, or holds a key, choice or kind of value that the guide
            has not, or a number out of its range.
    """
    content = read_lenient_json(path)
    if not isinstance(content, Mapping):
        raise UserError(f'{path}: expected sections such as model and dataset, got {content!r:.40}')
    content = dict(content)
    if isinstance(content.get('training'), Mapping):
        content['training'] = _without_aliases(content['training'])
    guide = fill_guide(content, GUIDE_DEFAULTS)
    _check_choices(guide)
    _check_numbers(guide)
    return guide


def _without_aliases(training: Mapping[str, Any]) -> dict[str, Any]:
    named = {_ALIASES.get(key, key): value for key, value in training.items()}
    for short, name in _ALIASES.items():
        if short in training and name in training:
            raise UserError(f'training: expected {name} or {short}, got both; keep one of them')
    return named


def _check_choices(guide: Mapping[str, Any]) -> None:
    choices = {
        'model.student_variant': _VARIANTS,
        'model.teacher_variant': _VARIANTS,
        'training.optimizer': _OPTIMIZERS,
        'training.scheduler': _SCHEDULERS,
        'losses.adaptive_weights': _BALANCERS,
    }
    for name, known in choices.items():
        section, key = name.split('.')
        value = guide[section][key]
        if value is not None and value not in known:
            raise UserError(unknown_name_message(name, str(value), known))


def _check_numbers(guide: Mapping[str, Any]) -> None:
    def value_of(name: str) -> float:
        section, key = name.split('.')
        return guide[section][key]

    for name, (low, high) in _RANGES.items():
        if not low <= value_of(name) <= high:
            limit = f'at least {low}' if high == math.inf else f'a number from {low} to {high}'
            raise UserError(f'{name}: expected {limit}, got {value_of(name)}')
    for name in _POSITIVE:
        if not value_of(name) > 0:
            raise UserError(f'{name}: expected more than 0, got {value_of(name)}')
    training, size = guide['training'], guide['dataset']['target_size']
    if size % _PATCH:
        raise UserError(f'dataset.target_size: expected a multiple of {_PATCH}, got {size}')
    if training['warmup_epochs'] >= training['epochs']:
        raise UserError(
            f'training.warmup_epochs: expected fewer than the {training["epochs"]} epochs, got '
            f'{training["warmup_epochs"]}'
        )
    if not any(guide['losses'][f'{kind}_weight'] for kind in ('focal', 'dice', 'iou', 'boundary')):
        raise UserError('losses: expected a weight above 0, got 0 for all; give one of them')


def count_training_images(guide: Mapping[str, Any]) -> int | None:
    """Training images of the guide's data, ``None`` where the annotations are not there."""
    file = Path(guide['dataset']['train_annotation'])
    return len(json.loads(file.read_bytes())['images']) if file.is_file() else None


def efficient_sam_config_text(guide: Mapping[str, Any], num_images: int, source: str) -> str:
    """A config file for ``configs/efficient_sam`` that does what the guide's file says.

    Args:
        guide: Of :func:`read_efficient_sam_guide`.
        num_images: Training images; epochs become iterations.
        source: Name of the file, for the first line.
    """
    if num_images < 1:
        raise UserError(f'num_images: expected at least 1, got {num_images}')
    training = guide['training']
    per_epoch = math.ceil(num_images / training['batch_size'])
    imports: set[str] = set()
    lines = [
        *_model_lines(guide, imports),
        *_data_lines(guide),
        *_training_lines(training, per_epoch, imports),
        *_distillation_lines(guide, imports),
        *_balancing_lines(guide),
        f'default_hooks.update(checkpoint=dict(interval={per_epoch}, save_best="prompt/IoU"))',
        f'randomness = dict(seed={training["seed"]!r})',
        f'work_dir = {guide["output"]["save_dir"]!r}',
        '',
    ]
    return '\n'.join(
        [
            f'"""Written from {source} by tools/import_config.py."""',
            '',
            'from mmengine.config import read_base',
            '',
            'with read_base():',
            f'    from .{BASE_CONFIG} import *',
            '',
            *sorted(imports),
            '',
            *lines,
        ]
    )


def _checkpoint(guide: Mapping[str, Any], role: str) -> str:
    model = guide['model']
    default = f'models/efficient_sam/efficient_sam_{model[f"{role}_variant"]}.pt'
    return model[f'{role}_checkpoint'] or default


def _model_lines(guide: Mapping[str, Any], imports: set[str]) -> list[str]:
    model, losses = guide['model'], guide['losses']
    kind = 'TrainDecoder' if model['freeze_encoder'] else 'TrainAll'
    chosen = {
        'MaskFocalLoss': (
            losses['focal_weight'],
            f', alpha={losses["focal_alpha"]!r}, gamma={losses["focal_gamma"]!r}',
        ),
        'MaskDiceLoss': (losses['dice_weight'], ''),
        'MaskSoftIoULoss': (losses['iou_weight'], ''),
        'BoundaryBandLoss': (losses['boundary_weight'], ''),
    }
    used = {name: value for name, value in chosen.items() if value[0]}
    balancer = _BALANCERS[losses['adaptive_weights']]
    names = sorted([*used, *([balancer] if balancer else [])])
    imports |= {
        f'from seg.models.peft import {kind}',
        f'from seg.models.losses import {", ".join(names)}',
    }
    mask_losses = ', '.join(
        f'dict(type={name}, weight={weight!r}{more})' for name, (weight, more) in used.items()
    )
    extra = f', balancer=dict(type={balancer})' if balancer else ''
    return [
        'model.update(',
        f'    variant={model["student_variant"]!r},',
        f'    image_size={guide["dataset"]["target_size"]!r},',
        f"    init_cfg=dict(type='Pretrained', checkpoint={_checkpoint(guide, 'student')!r}),",
        f'    criterion=dict(mask_losses=[{mask_losses}], iou_weight=1.0{extra}),',
        ')',
        f"model['strategy'] = dict(type={kind}, "
        f'prompt_encoder={not model["freeze_prompt_encoder"]})',
    ]


def _data_lines(guide: Mapping[str, Any]) -> list[str]:
    data, training = guide['dataset'], guide['training']
    jitter = data['box_noise_scale'] if data['random_box_augmentation'] else 0.0
    canvas = (data['target_size'],) * 2
    lines = [
        f'train_dataloader.dataset.update(min_box_iou={data["iou_threshold"]!r})',
        f'train_dataloader.dataset.pipeline[2].update(scale={canvas})',
        'train_dataloader.dataset.pipeline[3].update('
        f'max_prompts={data["max_objects"]!r}, box_jitter={jitter!r})',
    ]
    for loader, split in (('train', 'train'), ('val', 'val'), ('test', 'val')):
        folder = Path(data[f'{split}_root'])
        folder = folder if folder.name == 'images' else folder / 'images'
        workers = training['num_workers']
        lines += [
            f'{loader}_dataloader.dataset.update('
            f'ann_file={data[f"{split}_annotation"]!r}, img_dir={str(folder)!r})',
            f'{loader}_dataloader.update(batch_size={training["batch_size"]}, '
            f'num_workers={workers}, persistent_workers={workers > 0})',
        ]
        if split == 'val':
            lines.append(f'{loader}_dataloader.dataset.pipeline[1].update(scale={canvas})')
    return lines


def _training_lines(training: Mapping[str, Any], per_epoch: int, imports: set[str]) -> list[str]:
    total, warmup = (training[key] * per_epoch for key in ('epochs', 'warmup_epochs'))
    optimizer = _OPTIMIZERS[training['optimizer']]
    rate, decay = training['learning_rate'], training['weight_decay']
    imports |= {
        f'from torch.optim import {optimizer}',
        'from mmengine.optim import CosineAnnealingLR, LinearLR, OneCycleLR, StepLR',
    }
    momentum = ', momentum=0.9' if optimizer == 'SGD' else ''
    wrapper = f'dict(type={optimizer}, lr={rate!r}, weight_decay={decay!r}{momentum})'
    return [
        f'train_cfg.update(max_iters={total}, val_interval={per_epoch})',
        f"optim_wrapper['optimizer'] = {wrapper}",
        f'optim_wrapper.update(clip_grad=dict(max_norm={training["grad_clip_norm"]!r}))',
        f'param_scheduler = [{_scheduler(training["scheduler"], rate, warmup, total)}]',
    ]


def _scheduler(name: str, rate: float, warmup: int, total: int) -> str:
    if name == 'onecycle':  # has a warm-up of its own
        share = warmup / total if warmup else 0.3
        return (
            f'dict(type=OneCycleLR, eta_max={rate!r}, total_steps={total}, '
            f'pct_start={share!r}, by_epoch=False)'
        )
    if name == 'cosine':
        main = (
            f'dict(type=CosineAnnealingLR, eta_min=1e-6, by_epoch=False, begin={warmup}, '
            f'end={total})'
        )
    else:
        step = max(1, (total - warmup) // 3)
        main = f'dict(type=StepLR, step_size={step}, gamma=0.1, by_epoch=False, begin={warmup})'
    if not warmup:
        return main
    start = f'dict(type=LinearLR, start_factor=0.01, by_epoch=False, begin=0, end={warmup})'
    return f'{start}, {main}'


def _balancing_lines(guide: Mapping[str, Any]) -> list[str]:
    """Learned weights of losses have a rate of their own and no decay."""
    if guide['losses']['adaptive_weights'] != 'uncertainty':
        return []
    keys = "{'balancer.log_vars': dict(lr_mult=10.0, decay_mult=0.0)}"
    return [f"optim_wrapper['paramwise_cfg'] = dict(custom_keys={keys})"]


def _distillation_lines(guide: Mapping[str, Any], imports: set[str]) -> list[str]:
    distillation, model = guide['distillation'], guide['model']
    balanced = guide['losses']['adaptive_weights'] != 'none'
    taught = distillation['enabled'] and model['teacher_variant'] is not None
    if balanced or taught:
        imports.add('from seg.engine.hooks import SteeringHook, TrainedWeightsHook')
    if not taught and not balanced:
        return []
    if not taught:
        return ['custom_hooks = [dict(type=TrainedWeightsHook), dict(type=SteeringHook)]']
    parts = ['MaskDistillation']
    if distillation['feature_distillation']:
        parts.append('DecoderFeatureDistillation')
        parts += [] if model['freeze_encoder'] else ['EmbeddingDistillation']
    if distillation['attention_distillation']:
        parts.append('DecoderAttentionDistillation')
    imports |= {
        'from seg.models.detectors import Distiller, EfficientSamSegmentor',
        f'from seg.models.losses import {", ".join(sorted(["DistillationSchedule", *parts]))}',
    }
    settings = (
        "mode='increase'"
        if distillation['progressive']
        else f'temperature={distillation["temperature"]!r}, '
        f'label_weight={distillation["alpha"]!r}, teacher_weight={distillation["beta"]!r}'
    )
    return [
        'student = model',
        'model = dict(',
        '    type=Distiller,',
        '    student=student,',
        '    teacher=dict(',
        '        type=EfficientSamSegmentor,',
        f'        variant={model["teacher_variant"]!r},',
        f'        image_size={guide["dataset"]["target_size"]!r},',
        f"        init_cfg=dict(type='Pretrained', checkpoint={_checkpoint(guide, 'teacher')!r}),",
        '    ),',
        f'    parts=[{", ".join(f"dict(type={part})" for part in parts)}],',
        f'    schedule=dict(type=DistillationSchedule, {settings}),',
        ')',
        'del student',
        'custom_hooks = [dict(type=SteeringHook)]',
    ]
