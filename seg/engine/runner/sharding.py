"""Parameters, gradients and optimizer states spread over processes (FSDP2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine._strategy import DDPStrategy
from mmengine.dist import get_world_size
from mmengine.model import revert_sync_batchnorm
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from seg.engine.runner.distributed import prepare_process_group
from seg.registry import STRATEGIES
from seg.utils.checks import UserError, unknown_name_message


@STRATEGIES.register_module()
class FullyShardStrategy(DDPStrategy):
    """Shards a model with ``fully_shard``, on GPUs over NCCL or on the CPU over gloo.

    Every process holds its share of each parameter, and of its gradient and optimizer state, and
    gathers a part of the model only while that part computes. All processes must run the same
    parts in a step, hence the same task. Batch norm keeps statistics of its own in each process,
    and those of the first one are in checkpoints, unless ``sync_bn`` says otherwise.

    Args:
        modules: Dotted names of submodules that are gathered one at a time, when they are called;
            the rest of the model is gathered together. What is used by other methods than
            ``forward``, as the head is, cannot be named.
        reshard_after_forward: Whether a part is given up between its forward and its backward
            pass, which saves memory and costs another gathering.
        sync_bn: ``'torch'`` synchronises batch norm on GPUs.
        work_dir: This and the following are what MMEngine passes to every strategy.
        experiment_name: Name of the run.
        env_kwargs: Launcher, randomness and ``env_cfg``.
        log_kwargs: Log level.
        auto_scale_lr: As in the config.
    """

    def __init__(
        self,
        *,
        modules: Sequence[str] = ('backbone', 'neck'),
        reshard_after_forward: bool = True,
        sync_bn: str | None = None,
        work_dir: str = 'work_dirs',
        experiment_name: str | None = None,
        env_kwargs: dict[str, Any] | None = None,
        log_kwargs: dict[str, Any] | None = None,
        auto_scale_lr: dict[str, Any] | None = None,
    ) -> None:
        self.modules = tuple(modules)
        self.reshard_after_forward = reshard_after_forward
        super().__init__(
            sync_bn=sync_bn,
            work_dir=work_dir,
            experiment_name=experiment_name,
            env_kwargs=env_kwargs,
            log_kwargs=log_kwargs,
            auto_scale_lr=auto_scale_lr,
        )

    def _setup_distributed(
        self, launcher: str = 'pytorch', backend: str = 'nccl', **kwargs: Any
    ) -> None:
        prepare_process_group(launcher, kwargs)
        super()._setup_distributed(launcher, backend, **kwargs)

    def _wrap_model(self, model: nn.Module) -> nn.Module:
        device = 'cuda' if torch.cuda.is_available() else 'cpu'
        if device == 'cpu':
            model = revert_sync_batchnorm(model)
        elif self.sync_bn:
            model = self.convert_model(model)
        if not self.distributed:
            raise UserError(
                'strategy FullyShardStrategy: expected several processes, got one; start with '
                'tools/dist_train.sh CONFIG PROCESSES, or train with SegRunner'
            )
        return shard_model(model.to(device), device, self.modules, self.reshard_after_forward)


def shard_model(
    model: nn.Module, device: str, modules: Sequence[str], reshard_after_forward: bool = True
) -> nn.Module:
    """Shard a model in place over all processes.

    Args:
        model: On its device, with the same values in all processes.
        device: ``'cuda'`` or ``'cpu'``.
        modules: Dotted names of the submodules that are gathered one at a time.
        reshard_after_forward: See :class:`FullyShardStrategy`.

    Raises:
        UserError: If the model has no submodule of that name.
    """
    mesh = init_device_mesh(device, (get_world_size(),))
    with torch.no_grad():
        for parameter in model.parameters():  # only this layout can be cut
            parameter.data = parameter.data.contiguous()
    known = dict(model.named_modules())
    for name in modules:
        if name not in known:
            tops = [key for key in known if key and key.count('.') <= name.count('.')]
            raise UserError(unknown_name_message('strategy.modules entry', name, tops))
        fully_shard(known[name], mesh=mesh, reshard_after_forward=reshard_after_forward)
    fully_shard(model, mesh=mesh, reshard_after_forward=reshard_after_forward)
    return model


def gather(value: Any) -> Any:
    """Nested content with whole tensors instead of shards; every process must call this."""
    if isinstance(value, DTensor):
        whole: DTensor = value.detach()  # type: ignore[assignment]
        return whole.full_tensor()
    if isinstance(value, Mapping):
        return {key: gather(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)([gather(item) for item in value])
    return value


def spread_like(whole: Tensor, own: Tensor | None) -> Tensor:
    """This process's share of a tensor that all processes hold, cut as another one is."""
    if not isinstance(own, DTensor) or whole.shape != own.shape:
        return whole
    device = own.device_mesh.device_type
    return distribute_tensor(whole.to(device), own.device_mesh, own.placements, src_data_rank=None)


def spread_optimizer_state(
    state: dict[str, Any], groups: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """A whole optimizer state, spread as the parameters of the groups are.

    Args:
        state: As ``Optimizer.state_dict`` gives it, with whole tensors.
        groups: The optimizer's ``param_groups``.
    """
    parameters = [parameter for group in groups for parameter in group['params']]
    spread = {
        index: {
            key: spread_like(value, parameters[index]) if isinstance(value, Tensor) else value
            for key, value in slots.items()
        }
        for index, slots in state['state'].items()
    }
    return {**state, 'state': spread}
