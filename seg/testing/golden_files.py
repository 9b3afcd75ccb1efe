"""Folders of goldens: ``names.json`` says how to build a case, ``CASE.npz`` holds its arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.config import Config
from torch import Tensor

from seg.models.detectors import RapSAM
from seg.registry import MODELS
from seg.testing.golden_folder import check_spec, read_arrays, read_spec
from seg.testing.parity import RapSAMGolden
from seg.utils.checks import UserError
from seg.utils.paths import config_dir

_CONFIGS = {
    'rapsam_r18': 'rap_sam/rap_sam_r18_12e_adaptor.py',
    'rapsam_r50': 'rap_sam/rap_sam_r50_12e_adaptor.py',
}


def load_golden(folder: Path, case: str) -> tuple[RapSAMGolden, dict[str, Tensor]]:
    """Read a case and build its model; inputs may be missing, see :meth:`RapSAMGolden.outputs`.

    Args:
        folder: Holds ``names.json`` and ``CASE.npz``.
        case: Key of ``names.json``.

    Raises:
        FileNotFoundError: If one of the two files is missing.
        UserError: If the case or its model is unknown, or a file is broken or incomplete.
    """
    names_file, arrays_file = folder / 'names.json', folder / f'{case}.npz'
    spec = read_spec(names_file, case)
    arrays = read_arrays(arrays_file)
    where = f'{names_file}: {case}'
    check_spec(spec, where, _CONFIGS)
    try:
        golden = RapSAMGolden(spec, arrays, _build(spec))
    except UserError as error:
        raise UserError(f'{where}: {error}') from error
    return golden, arrays


def _build(spec: dict[str, Any]) -> RapSAM:
    """The shipped model at the size of a case, without pretrained weights."""
    model = Config.fromfile(str(config_dir() / _CONFIGS[spec['model']])).model
    model.backbone.init_cfg = None
    model.head.num_things = spec['num_things']
    model.head.num_stuff = spec['num_stuff']
    model.head.num_queries = spec['num_queries']
    model.head.embed_channels = spec['embed_dim']
    return MODELS.build(model)
