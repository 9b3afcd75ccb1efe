"""Several processes, on GPUs as MMEngine starts them or on the CPU over gloo."""

from __future__ import annotations

import datetime
import hashlib
import os
from collections.abc import Mapping
from typing import Any

import torch
import torch.distributed as torch_dist
from mmengine.dist import all_gather_object, broadcast, is_distributed
from mmengine.model import MMDistributedDataParallel, revert_sync_batchnorm
from mmengine.registry import MODEL_WRAPPERS
from torch import nn

from seg.utils.checks import UserError

_TORCHRUN_VARIABLES = ('RANK', 'LOCAL_RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT')


def prepare_process_group(launcher: str, dist_cfg: Mapping[str, Any]) -> None:
    """Check the launcher's environment and, without a GPU, start the process group over gloo.

    MMEngine starts its groups on a GPU only; where there is one, it is left to do so.

    Args:
        launcher: ``'pytorch'`` (torchrun), or another that MMEngine knows when there are GPUs.
        dist_cfg: The config's ``env_cfg.dist_cfg``; only ``timeout`` (seconds) matters here.

    Raises:
        UserError: If the process was not started by torchrun, or there are fewer GPUs than
            processes on this machine.
    """
    if is_distributed():
        return
    if launcher == 'pytorch':
        _check_torchrun()
    if torch.cuda.is_available():
        return
    if launcher != 'pytorch':
        raise UserError(
            f"--launcher: expected 'pytorch' where there is no GPU, got {launcher!r}; start with "
            'tools/dist_train.sh CONFIG PROCESSES'
        )
    timeout = datetime.timedelta(seconds=float(dist_cfg.get('timeout', 1800)))
    torch_dist.init_process_group(backend='gloo', timeout=timeout)


def wrap_on_cpu(
    model: nn.Module, wrapper_cfg: Mapping[str, Any] | None, find_unused_parameters: bool
) -> nn.Module:
    """Wrap a model for data-parallel training on the CPU.

    Synchronised batch norm exists on GPUs only, so such layers become ordinary batch norm.

    Args:
        model: The model, on the CPU.
        wrapper_cfg: The config's ``model_wrapper_cfg``, if any.
        find_unused_parameters: Whether some parameters may get no gradient in a step.
    """
    model = revert_sync_batchnorm(model)
    if wrapper_cfg is None:
        return MMDistributedDataParallel(
            module=model,
            broadcast_buffers=False,
            find_unused_parameters=find_unused_parameters,
        )
    cfg = dict(wrapper_cfg)
    cfg.setdefault('type', MMDistributedDataParallel)
    return MODEL_WRAPPERS.build(cfg, default_args={'module': model})


def check_same_config(cfg: Mapping[str, Any]) -> None:
    """Make sure that all processes were started with the same config.

    Args:
        cfg: The config of this process.

    Raises:
        UserError: On all processes, naming the first setting that differs and two of them.
    """
    flat = _flatten(cfg)
    digest = hashlib.sha256(repr(sorted(flat.items())).encode()).hexdigest()
    if len(set(all_gather_object(digest))) == 1:
        return
    first, *others = all_gather_object(flat)
    for rank, other in enumerate(others, start=1):
        for key in sorted({*first, *other}):
            here, there = first.get(key, 'nothing'), other.get(key, 'nothing')
            if here != there:
                raise UserError(
                    f'config: expected the same in all processes, got {key}={here} in process 0 '
                    f'and {there} in process {rank}; start all of them with the same files and '
                    'arguments'
                )


def _flatten(value: Any, path: str = '') -> dict[str, str]:
    """Dotted keys of a config with their values as text, classes by their names."""
    if isinstance(value, Mapping):
        parts = [(f'{path}.{key}' if path else str(key), value[key]) for key in value]
    elif isinstance(value, (list, tuple)):
        parts = [(f'{path}.{index}', item) for index, item in enumerate(value)]
    elif callable(value):
        return {path: f'{value.__module__}.{getattr(value, "__qualname__", value)}'}
    else:
        return {path: repr(value)}
    return {key: text for name, item in parts for key, text in _flatten(item, name).items()}


def share_buffers(model: nn.Module) -> None:
    """Give all processes the buffers of the first, such as the running statistics of batch norm."""
    if is_distributed():
        for buffer in model.buffers():
            broadcast(buffer)


def _check_torchrun() -> None:
    missing = [name for name in _TORCHRUN_VARIABLES if name not in os.environ]
    if missing:
        raise UserError(
            "--launcher pytorch: expected torchrun's environment variables, got none for "
            f'{", ".join(missing)}; start with tools/dist_train.sh CONFIG PROCESSES'
        )
    local_rank, gpus = int(os.environ['LOCAL_RANK']), torch.cuda.device_count()
    if torch.cuda.is_available() and local_rank >= gpus:
        raise UserError(
            f'GPUs: expected at least {local_rank + 1} on this machine, got {gpus}; start fewer '
            'processes'
        )
