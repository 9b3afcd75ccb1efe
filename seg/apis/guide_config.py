"""The YAML file of the SAM fine-tuning guide as a config of this package."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seg.utils.checks import UserError, unknown_name_message

# Every key of the guide with its default; an empty dict means that the values are free.
GUIDE_DEFAULTS: dict[str, Any] = {
    'model': {
        'type': 'vit_b',
        'checkpoint': 'models/sam/sam_vit_b_01ec64.pth',
        'freeze_image_encoder': True,
        'freeze_prompt_encoder': False,
        'freeze_mask_decoder': False,
    },
    'data': {
        'data_dir': 'data/folders',
        'dataset_type': 'directory',
        'train_split': 'train',
        'val_split': 'val',
        'image_size': 1024,
        'prompt_mode': 'box',
        'num_points': 3,
        'batch_size': 2,
        'num_workers': 4,
        'augment': True,
    },
    'finetuning': {
        'strategy': 'full',
        'adapter': {'hidden_dim': 768, 'adapter_dim': 64},
        'lora': {
            'r': 8,
            'lora_alpha': 32,
            'lora_dropout': 0.1,
            'target_modules': ['qkv', 'proj'],
        },
    },
    'training': {
        'num_epochs': 50,
        'learning_rate': 1e-4,
        'lr': None,
        'weight_decay': 0.01,
        'warmup_epochs': 2,
        'gradient_accumulation_steps': 4,
        'max_grad_norm': 1.0,
        'lr_scheduler': 'cosine',
        'min_lr': 1e-6,
        'optimizer': {'type': 'adamw', 'betas': [0.9, 0.999]},
        'save_interval': 10,
        'seed': 0,
    },
    'loss': {
        'segmentation_loss': {'type': 'dice_bce', 'dice_weight': 1.0, 'bce_weight': 1.0},
        'iou_loss': {'weight': 1.0},
    },
    'output': {'output_dir': 'work_dirs', 'experiment_name': 'sam'},
    'device': {'use_amp': True, 'device': 'cuda'},
}

_STRATEGIES = ('full', 'adapter', 'lora', 'decoder')
_LOSSES = ('dice', 'bce', 'dice_bce', 'focal')


def read_guide(path: Path) -> dict[str, Any]:
    """Read the YAML (or JSON) file and fill in the guide's defaults.

    Raises:
        FileNotFoundError: If there is no such file.
        UserError: If it cannot be parsed, or holds a key or kind of value that the guide has not.
    """
    import yaml

    if not path.is_file():
        raise FileNotFoundError(f'{path}: expected a YAML file of the guide, found nothing there')
    try:
        content = yaml.safe_load(path.read_text(encoding='utf-8'))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f'{path}: expected YAML, got: {" ".join(str(error).split())}') from None
    if not isinstance(content, Mapping):
        raise UserError(f'{path}: expected sections such as model and data, got {content!r:.40}')
    return fill_guide(content, GUIDE_DEFAULTS)


def fill_guide(content: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """The sections of a guide's file, completed by its defaults.

    Args:
        content: What the file says.
        known: Every section, key and default; the defaults say what kind values have.

    Raises:
        UserError: If there is another key or kind of value.
    """
    return _filled(content, known, '')


def _filled(given: Mapping[str, Any], known: Mapping[str, Any], where: str) -> dict[str, Any]:
    filled = dict(known)
    for key, value in given.items():
        if key not in known:
            raise UserError(unknown_name_message('key', f'{where}{key}', _dotted(known, where)))
        default = known[key]
        if isinstance(default, Mapping):
            if not isinstance(value, Mapping):
                raise UserError(f'{where}{key}: expected a section, got {value!r}')
            filled[key] = _filled(value, default, f'{where}{key}.')
            continue
        filled[key] = _converted(value, default, f'{where}{key}')
    for key, value in known.items():
        if isinstance(value, Mapping) and key not in given:
            filled[key] = _filled({}, value, f'{where}{key}.')
    return filled


def _dotted(known: Mapping[str, Any], where: str) -> list[str]:
    return [f'{where}{name}' for name in known]


def _converted(value: Any, default: Any, where: str) -> Any:
    """A value of the default's kind; YAML reads 1e-4 as text."""
    if isinstance(default, bool) or default is None or isinstance(default, (str, list)):
        fits = default is None or isinstance(value, type(default))
    else:
        fits = not isinstance(value, bool)
        try:
            value = type(default)(value)
        except (TypeError, ValueError):
            fits = False
    if not fits:
        raise UserError(f'{where}: expected a value like {default!r}, got {value!r}')
    return float(value) if where == 'training.lr' and value is not None else value


def count_images(guide: Mapping[str, Any]) -> int | None:
    """Training images of the guide's data, ``None`` where the data are not there."""
    data = guide['data']
    root = Path(data['data_dir'])
    if data['dataset_type'] == 'coco':
        file = root / 'annotations' / f'instances_{data["train_split"]}.json'
        return len(json.loads(file.read_bytes())['images']) if file.is_file() else None
    folder = root / 'images' / data['train_split']
    return sum(1 for path in folder.iterdir() if path.is_file()) if folder.is_dir() else None


def config_text(guide: Mapping[str, Any], num_images: int, source: str) -> str:
    """A config file for ``configs/sam`` that does what the guide's file says.

    Args:
        guide: Of :func:`read_guide`.
        num_images: Training images; epochs become iterations.
        source: Name of the file, for the first line.

    Raises:
        UserError: If a choice is unknown.
    """
    data, training = guide['data'], guide['training']
    if num_images < 1:
        raise UserError(f'num_images: expected at least 1, got {num_images}')
    _check_numbers(data, training)
    per_epoch = math.ceil(num_images / data['batch_size'])
    total, warmup = (training[key] * per_epoch for key in ('num_epochs', 'warmup_epochs'))
    strategy, imports = _strategy(guide)
    losses, loss_imports = _losses(guide['loss']['segmentation_loss'])
    wrapper = 'MixedPrecisionOptimWrapper' if guide['device']['use_amp'] else 'OptimWrapper'
    if wrapper != 'OptimWrapper':
        imports.append('from seg.engine.runner import MixedPrecisionOptimWrapper')
    else:
        imports.append('from mmengine.optim import OptimWrapper')
    scheduler = _scheduler(training, warmup, total)
    imports += [*loss_imports, 'from mmengine.optim import CosineAnnealingLR, LinearLR']
    rate = training['learning_rate'] if training['lr'] is None else training['lr']
    work_dir = Path(guide['output']['output_dir']) / guide['output']['experiment_name']
    base = 'sam_vitb_coco_decoder' if data['dataset_type'] == 'coco' else 'sam_vitb_folders_decoder'
    return '\n'.join(
        [
            f'"""Written from {source} by tools/import_config.py."""',
            '',
            'from mmengine.config import read_base',
            '',
            'with read_base():',
            f'    from .{base} import *',
            '',
            *sorted(set(imports)),
            '',
            'model.update(',
            f'    variant={guide["model"]["type"]!r},',
            f'    image_size={data["image_size"]!r},',
            f"    init_cfg=dict(type='Pretrained', checkpoint={guide['model']['checkpoint']!r}),",
            f'    criterion=dict(mask_losses=[{losses}], '
            f'iou_weight={guide["loss"]["iou_loss"]["weight"]!r}),',
            ')',
            f"model['strategy'] = {strategy}",
            *_data_lines(data),
            f'train_cfg.update(max_iters={total}, val_interval={per_epoch})',
            'optim_wrapper.update(',
            f'    type={wrapper},',
            f'    optimizer=dict(lr={rate!r}, weight_decay={training["weight_decay"]!r}, '
            f'betas={tuple(training["optimizer"]["betas"])!r}),',
            f'    accumulative_counts={training["gradient_accumulation_steps"]!r},',
            f'    clip_grad=dict(max_norm={training["max_grad_norm"]!r}),',
            ')',
            f'param_scheduler = [{scheduler}]',
            f'default_hooks.update(checkpoint=dict(interval={training["save_interval"]} * '
            f"{per_epoch}, save_best='prompt/IoU'))",
            f'randomness = dict(seed={training["seed"]!r})',
            f'work_dir = {str(work_dir)!r}',
            '',
        ]
    )


def _check_numbers(data: Mapping[str, Any], training: Mapping[str, Any]) -> None:
    """Refuse counts and rates that no training can have."""
    counts = {f'data.{name}': data[name] for name in ('batch_size', 'image_size', 'num_points')}
    names = ('num_epochs', 'gradient_accumulation_steps', 'save_interval')
    counts |= {f'training.{name}': training[name] for name in names}
    for name, value in counts.items():
        if value < 1:
            raise UserError(f'{name}: expected at least 1, got {value}')
    for name in ('learning_rate', 'lr', 'max_grad_norm'):
        value = training[name]
        if value is not None and not value > 0:
            raise UserError(f'training.{name}: expected a number above 0, got {value}')
    if not 0 <= training['warmup_epochs'] < training['num_epochs']:
        raise UserError(
            'training.warmup_epochs: expected at least 0 and fewer than num_epochs='
            f'{training["num_epochs"]}, got {training["warmup_epochs"]}'
        )
    if (kind := training['optimizer']['type']) != 'adamw':
        raise UserError(unknown_name_message('training.optimizer.type', kind, ('adamw',)))


def _strategy(guide: Mapping[str, Any]) -> tuple[str, list[str]]:
    model, tuning = guide['model'], guide['finetuning']
    name = tuning['strategy']
    if name not in _STRATEGIES:
        raise UserError(unknown_name_message('finetuning.strategy', name, _STRATEGIES))
    parts = (
        f'prompt_encoder={not model["freeze_prompt_encoder"]}, '
        f'mask_decoder={not model["freeze_mask_decoder"]}'
    )
    if name == 'lora':
        lora = tuning['lora']
        updates = f'rank={lora["r"]}, alpha={float(lora["lora_alpha"])}'
        layers = f'dropout={lora["lora_dropout"]}, targets={tuple(lora["target_modules"])!r}'
        kind, parts = 'TrainLora', f'{updates}, {layers}, {parts}'
    elif name == 'adapter':
        kind, parts = 'TrainAdapters', f'hidden={tuning["adapter"]["adapter_dim"]}, {parts}'
    else:  # the guide calls it full even where the encoder is frozen
        frozen = name == 'decoder' or model['freeze_image_encoder']
        kind = 'TrainDecoder' if frozen else 'TrainAll'
    return f'dict(type={kind}, {parts})', [f'from seg.models.peft import {kind}']


def _losses(loss: Mapping[str, Any]) -> tuple[str, list[str]]:
    kind = loss['type']
    if kind not in _LOSSES:
        raise UserError(unknown_name_message('loss.segmentation_loss.type', kind, _LOSSES))
    chosen = {
        'dice': {'MaskDiceLoss': loss['dice_weight']},
        'bce': {'MaskBCELoss': loss['bce_weight']},
        'dice_bce': {'MaskDiceLoss': loss['dice_weight'], 'MaskBCELoss': loss['bce_weight']},
        'focal': {'MaskFocalLoss': 20.0},
    }[kind]
    text = ', '.join(f'dict(type={name}, weight={weight!r})' for name, weight in chosen.items())
    return text, [f'from seg.models.losses import {", ".join(sorted(chosen))}']


def _scheduler(training: Mapping[str, Any], warmup: int, total: int) -> str:
    name, lowest = training['lr_scheduler'], training['min_lr']
    if name not in ('cosine', 'linear'):
        raise UserError(unknown_name_message('training.lr_scheduler', name, ('cosine', 'linear')))
    rate = training['learning_rate'] if training['lr'] is None else training['lr']
    span = f'by_epoch=False, begin={warmup}, end={total}'
    main = (
        f'dict(type=CosineAnnealingLR, eta_min={lowest!r}, {span})'
        if name == 'cosine'
        else f'dict(type=LinearLR, start_factor=1.0, end_factor={lowest / rate!r}, {span})'
    )
    if not warmup:
        return main
    start = f'dict(type=LinearLR, start_factor=0.01, by_epoch=False, begin=0, end={warmup})'
    return f'{start}, {main}'


def _data_lines(data: Mapping[str, Any]) -> list[str]:
    root = Path(data['data_dir'])
    kinds = ('directory', 'coco')
    if data['dataset_type'] not in kinds:
        raise UserError(unknown_name_message('data.dataset_type', data['dataset_type'], kinds))
    modes = ('box', 'point', 'both', 'mixed')
    if data['prompt_mode'] not in modes:
        raise UserError(unknown_name_message('data.prompt_mode', data['prompt_mode'], modes))
    lines = []
    for loader, split in (('train', 'train_split'), ('val', 'val_split'), ('test', 'val_split')):
        name = data[split]
        place = f'root={str(root)!r}, split={name!r}'
        if data['dataset_type'] == 'coco':
            file = str(root / 'annotations' / f'instances_{name}.json')
            place = f'ann_file={file!r}, img_dir={str(root / "images" / name)!r}'
        elif data['dataset_type'] == 'directory':
            place += ", mask_kind='binary'"
        lines.append(f'{loader}_dataloader.dataset.update({place})')
        lines.append(
            f'{loader}_dataloader.update(batch_size={data["batch_size"]}, '
            f'num_workers={data["num_workers"]}, persistent_workers={data["num_workers"] > 0})'
        )
    canvas = (data['image_size'],) * 2
    prompts = f'mode={data["prompt_mode"]!r}, num_points={data["num_points"]}'
    lines += [
        f'train_dataloader.dataset.pipeline[2].update(scale={canvas})',
        f'train_dataloader.dataset.pipeline[3].update({prompts})',
    ]
    for loader in ('val', 'test'):
        lines += [
            f'{loader}_dataloader.dataset.pipeline[0].update({prompts})',
            f'{loader}_dataloader.dataset.pipeline[1].update(scale={canvas})',
        ]
    if not data['augment']:
        lines += [
            'train_dataloader.dataset.pipeline[0].update(prob=0.0)',
            'train_dataloader.dataset.pipeline[1].update('
            'brightness=0.0, contrast=0.0, saturation=0.0)',
        ]
    return lines
