"""Folders of goldens: ``names.json`` says how to build a case, ``CASE.npz`` holds its arrays."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from mmengine.config import Config
from torch import Tensor

from ext.efficient_sam import EfficientSam, efficient_sam_variant
from seg.models.detectors import RapSAM
from seg.registry import MODELS
from seg.testing.efficient_sam_parity import EfficientSamGolden
from seg.testing.golden_folder import check_classes, check_spec, read_arrays, read_spec
from seg.testing.parity import RapSAMGolden
from seg.utils.checks import UserError
from seg.utils.paths import config_dir

_CONFIGS = {
    'rapsam_r18': 'rap_sam/rap_sam_r18_12e_adaptor.py',
    'rapsam_r50': 'rap_sam/rap_sam_r50_12e_adaptor.py',
}
_EFFICIENT_SAM = {'efficient_sam_vitt': 'vitt', 'efficient_sam_vits': 'vits'}
_MODELS = [*_CONFIGS, *_EFFICIENT_SAM]
# Numbers that a case says, with the least that they may be.
_RAPSAM_NUMBERS = {'seed': 0, 'num_things': 0, 'num_stuff': 0, 'num_queries': 1, 'embed_dim': 1}
_EFFICIENT_SAM_NUMBERS = {'seed': 0, 'parameters': 1}


class Golden(Protocol):
    """A case that can be recomputed."""

    def outputs(self) -> Iterator[tuple[str, Tensor | None]]:
        """Every output by its golden's name, ``None`` where the case lacks the input for it."""


def load_golden(folder: Path, case: str) -> tuple[Golden, dict[str, Tensor]]:
    """Read a case and build its model; inputs may be missing, see :meth:`Golden.outputs`.

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
    try:
        if spec.get('model') in list(_EFFICIENT_SAM):
            return _efficient_sam(spec, arrays, where), arrays
        check_spec(spec, where, _MODELS, _RAPSAM_NUMBERS)
        check_classes(spec, where)
        return RapSAMGolden(spec, arrays, _build(spec)), arrays
    except UserError as error:
        message = str(error)
        raise UserError(message if message.startswith(where) else f'{where}: {message}') from error


def _efficient_sam(spec: dict[str, Any], arrays: dict[str, Tensor], where: str) -> Golden:
    check_spec(spec, where, _MODELS, _EFFICIENT_SAM_NUMBERS)
    model = EfficientSam(efficient_sam_variant(_EFFICIENT_SAM[spec['model']]))
    return EfficientSamGolden(spec, arrays, model)


def _build(spec: dict[str, Any]) -> RapSAM:
    """The shipped model at the size of a case, without pretrained weights."""
    model = Config.fromfile(str(config_dir() / _CONFIGS[spec['model']])).model
    model.backbone.init_cfg = None
    model.head.num_things = spec['num_things']
    model.head.num_stuff = spec['num_stuff']
    model.head.num_queries = spec['num_queries']
    model.head.embed_channels = spec['embed_dim']
    return MODELS.build(model)
