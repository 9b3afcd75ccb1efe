"""Folders of goldens: ``names.json`` says how to build a case, ``CASE.npz`` holds its arrays."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from torch import Tensor

from seg.models.detectors import RapSAM
from seg.registry import MODELS
from seg.testing.parity import RapSAMGolden
from seg.utils.checks import UserError, unknown_name_message
from seg.utils.paths import config_dir

_CONFIGS = {
    'rapsam_r18': 'rap_sam/rap_sam_r18_12e_adaptor.py',
    'rapsam_r50': 'rap_sam/rap_sam_r50_12e_adaptor.py',
}


def load_golden(folder: Path, case: str) -> tuple[RapSAMGolden, dict[str, Tensor]]:
    """Read a case and build its model; nothing in the folder is executed or unpickled.

    Args:
        folder: Holds ``names.json`` and ``CASE.npz``.
        case: Key of ``names.json``.

    Raises:
        FileNotFoundError: If one of the two files is missing.
        UserError: If the case or its model is unknown.
    """
    names_file, arrays_file = folder / 'names.json', folder / f'{case}.npz'
    if not names_file.is_file():
        raise FileNotFoundError(f'--fixtures: expected a folder with names.json, got {folder}')
    specs = json.loads(names_file.read_text(encoding='utf-8'))
    if case not in specs:
        raise UserError(unknown_name_message('case', case, specs))
    if not arrays_file.is_file():
        raise FileNotFoundError(f'--case: expected the arrays in {arrays_file}, got no such file')
    with np.load(arrays_file, allow_pickle=False) as stored:
        arrays = {name: torch.from_numpy(stored[name]) for name in stored.files}
    spec = specs[case]
    if spec['model'] not in _CONFIGS:
        raise UserError(unknown_name_message('model', spec['model'], _CONFIGS))
    return RapSAMGolden(spec, arrays, _build(spec)), arrays


def _build(spec: dict[str, Any]) -> RapSAM:
    """The shipped model at the size of a case, without pretrained weights."""
    model = Config.fromfile(str(config_dir() / _CONFIGS[spec['model']])).model
    model.backbone.init_cfg = None
    model.head.num_things = spec['num_things']
    model.head.num_stuff = spec['num_stuff']
    model.head.num_queries = spec['num_queries']
    model.head.embed_channels = spec['embed_dim']
    return MODELS.build(model)
