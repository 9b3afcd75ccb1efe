"""MMEngine's ways of loading checkpoints, replaced by ones that never unpickle objects.

With these in place ``init_cfg=dict(type='Pretrained', checkpoint=...)``, ``load_from`` and
``resume`` all read through :func:`seg.utils.checkpoints.read_checkpoint`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import torch
from mmengine.dist import barrier, is_main_process
from mmengine.runner import checkpoint as host
from mmengine.runner.checkpoint import CheckpointLoader

from seg.utils.checkpoints import read_checkpoint, unwrap_state
from seg.utils.checks import UserError, unknown_name_message


def install_safe_loaders() -> None:
    """Make every scheme of MMEngine's checkpoint loader safe; doing it twice changes nothing."""
    schemes = {
        '': _load_local,
        'http://': _load_http,
        'https://': _load_http,
        'torchvision://': _load_torchvision,
        'modelzoo://': _load_torchvision,
        'open-mmlab://': _load_openmmlab,
        'openmmlab://': _load_openmmlab,
        'mmcls://': _load_mmcls,
        'pavi://': _refuse,
        r'(\S+\:)?s3://': _refuse,
        r'(\S+\:)?petrel://': _refuse,
    }
    for prefix, loader in schemes.items():
        CheckpointLoader.register_scheme(prefix, loader, force=True)


def _load_local(filename: str, map_location: Any = None) -> dict[str, Any]:
    return read_checkpoint(filename, map_location or 'cpu')


def _load_http(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Download once into torch's hub folder, then read from there."""
    folder = Path(torch.hub.get_dir()) / 'checkpoints'
    target = folder / Path(urlparse(filename).path).name
    if is_main_process() and not target.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(filename, str(target))
    barrier()
    return read_checkpoint(target, map_location or 'cpu')


def _load_torchvision(filename: str, map_location: Any = None) -> dict[str, Any]:
    urls = host.get_torchvision_models()
    return _load_http(_look_up(urls, filename, 'torchvision model'), map_location)


def _load_openmmlab(filename: str, map_location: Any = None) -> dict[str, Any]:
    urls = {**host.get_deprecated_model_names(), **host.get_external_models()}
    url = _look_up(urls, filename, 'OpenMMLab model')
    return _load_http(urls.get(url, url), map_location)


def _load_mmcls(filename: str, map_location: Any = None) -> dict[str, Any]:
    url = _look_up(host.get_mmcls_models(), filename, 'mmcls model')
    state = unwrap_state(_load_http(url, map_location), filename)
    prefix = 'backbone.'
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}


def _refuse(filename: str, map_location: Any = None) -> dict[str, Any]:
    raise UserError(
        f'checkpoint {filename}: expected a file or an http address, got a storage service; '
        'download the file and give its path'
    )


def _look_up(urls: dict[str, str], filename: str, kind: str) -> str:
    name = filename.split('://', 1)[1]
    if name not in urls:
        raise UserError(unknown_name_message(kind, name, urls))
    return urls[name]
