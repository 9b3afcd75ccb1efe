"""A fine-tuned SAM or EfficientSAM as a file that other programs read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ext.sam.huggingface import HUGGINGFACE_NAMES, SHARED_POSITIONS, huggingface_config
from seg.models.detectors import EfficientSamSegmentor, SamSegmentor
from seg.models.peft.lora import merged_state
from seg.utils.atomic_write import write_bytes_atomically
from seg.utils.checkpoints import write_checkpoint, write_safetensors
from seg.utils.checks import UserError, unknown_name_message

EXPORT_FORMATS = ('sam', 'sam-wrapped', 'safetensors', 'hf', 'efficient-sam')
_OF_EFFICIENT_SAM = ('efficient-sam', 'safetensors')


def export_sam(model: Any, out: Path, export_format: str, half: bool = False) -> None:
    """Write the weights of a model under the names of segment-anything or transformers.

    Low-rank updates are merged into their layers. ``'sam'`` is the bare file that
    ``sam_model_registry[...](checkpoint=...)`` reads, ``'sam-wrapped'`` the same under
    ``model_state_dict``, ``'safetensors'`` the same names in that format, ``'hf'`` a folder for
    ``SamModel.from_pretrained``. ``'efficient-sam'`` is the file that EfficientSAM's program
    reads, with the weights under ``model``.

    Args:
        model: A :class:`~seg.models.detectors.SamSegmentor`, or for ``'efficient-sam'`` and
            ``'safetensors'`` an :class:`~seg.models.detectors.EfficientSamSegmentor`.
        out: File, or folder for ``'hf'``.
        export_format: One of :data:`EXPORT_FORMATS`.
        half: Whether to write half precision.

    Raises:
        UserError: If the model is no SAM or holds parts that SAM has not, or the format is
            unknown or does not fit the name.
        OSError: If the file cannot be written.
    """
    if export_format not in EXPORT_FORMATS:
        raise UserError(unknown_name_message('format', export_format, EXPORT_FORMATS))
    state = plain_state(model)
    _check_fits(model, export_format)
    if half:
        state = {k: v.half() if v.dtype == torch.float32 else v for k, v in state.items()}
    if (export_format == 'safetensors') != (out.suffix == '.safetensors'):
        raise UserError(
            f'out: expected a name that ends in .safetensors for the format safetensors, and '
            f'another one for the others, got {out} for {export_format}'
        )
    if export_format == 'hf':
        _write_huggingface(out, state, model)
    elif export_format == 'safetensors':
        write_safetensors(out, state)
    else:
        wrapper = {'sam-wrapped': 'model_state_dict', 'efficient-sam': 'model'}.get(export_format)
        write_checkpoint(out, {wrapper: state} if wrapper else state)


def _check_fits(model: Any, export_format: str) -> None:
    is_efficient = isinstance(model, EfficientSamSegmentor)
    known = [
        name
        for name in EXPORT_FORMATS
        if (name in _OF_EFFICIENT_SAM if is_efficient else name != 'efficient-sam')
    ]
    if export_format not in known:
        raise UserError(
            f'format: expected one of {", ".join(known)} for {type(model).__name__}, got '
            f'{export_format}'
        )


def plain_state(model: Any) -> dict[str, Tensor]:
    """Weights under the published names, with low-rank updates merged.

    Raises:
        UserError: If the model is no SAM or EfficientSAM, or holds parts that they have not.
    """
    if not isinstance(model, (SamSegmentor, EfficientSamSegmentor)):
        raise UserError(
            'export: expected a SamSegmentor or an EfficientSamSegmentor, got '
            f'{type(model).__name__}; use tools/model_converters/pack_weights.py for other models'
        )
    state = merged_state(model)
    with torch.device('meta'):
        if isinstance(model, EfficientSamSegmentor):
            plain = set(EfficientSamSegmentor(model.variant).state_dict())
        else:
            plain = set(SamSegmentor(model.variant).state_dict())
    extra = sorted(set(state) - plain)
    if extra:
        raise UserError(
            f'export: expected the published parts alone, got {len(extra)} more tensors such as '
            f'{extra[0]}; adapters and class tokens cannot be merged, keep the checkpoint and its '
            'config, or train with TrainLora'
        )
    return {name: value.detach().cpu().contiguous() for name, value in state.items()}


def _write_huggingface(out: Path, state: dict[str, Tensor], model: SamSegmentor) -> None:
    if out.suffix:
        raise UserError(f"out: expected a folder for the format 'hf', got the file name {out}")
    out.mkdir(parents=True, exist_ok=True)
    renamed = HUGGINGFACE_NAMES.apply(state)
    renamed[SHARED_POSITIONS] = renamed['prompt_encoder.shared_embedding.positional_embedding']
    write_safetensors(out / 'model.safetensors', renamed, {'format': 'pt'})
    config = json.dumps(huggingface_config(model.variant), indent=2)
    write_bytes_atomically(out / 'config.json', f'{config}\n'.encode())
