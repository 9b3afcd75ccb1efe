"""Validation and test loops that examine prompted models click by click."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.evaluator import Evaluator
from mmengine.runner import Runner, TestLoop, ValLoop
from mmengine.runner.amp import autocast
from torch.utils.data import DataLoader

from seg.registry import LOOPS, TASK_UTILS
from seg.structures import ClipSample, Task


def _build_protocol(protocol: Any) -> Any:
    return TASK_UTILS.build(protocol) if isinstance(protocol, dict) else protocol


def _is_examined(data_batch: dict[str, Any]) -> bool:
    """Whether a batch asks for clicks on images; others take the model's own step."""
    sample: ClipSample = data_batch['data_samples'][0]
    return sample.declared_task is Task.INTERACTIVE_IMAGE


def _examine(
    loop: PromptingValLoop | PromptingTestLoop, stage: str, idx: int, data_batch: dict[str, Any]
) -> None:
    """Run the protocol on one batch, between the hooks of the stage, and judge its outcome."""
    loop.runner.call_hook(f'before_{stage}_iter', batch_idx=idx, data_batch=data_batch)
    with autocast(enabled=loop.fp16):
        outputs = loop.protocol.run(loop.runner.model, data_batch)
    loop.evaluator.process(data_samples=outputs, data_batch=data_batch)
    loop.runner.call_hook(
        f'after_{stage}_iter', batch_idx=idx, data_batch=data_batch, outputs=outputs
    )


@LOOPS.register_module()
class PromptingValLoop(ValLoop):
    """Validation in which batches of the task ``interactive_image`` follow a protocol.

    Args:
        runner: The runner.
        dataloader: Data loader, or its config.
        evaluator: Evaluator, or its config.
        protocol: What has ``run(model, data)``, such as
            :class:`~seg.evaluation.protocols.ClickProtocol`, or its config.
        fp16: Whether to compute in half precision.
    """

    def __init__(
        self,
        runner: Runner,
        dataloader: DataLoader | dict[str, Any],
        evaluator: Evaluator | dict[str, Any] | list[Any],
        protocol: Any,
        fp16: bool = False,
    ) -> None:
        super().__init__(runner, dataloader, evaluator, fp16)
        self.protocol = _build_protocol(protocol)

    @torch.no_grad()
    def run_iter(self, idx: int, data_batch: dict[str, Any]) -> None:
        """Examine one batch."""
        if _is_examined(data_batch):
            _examine(self, 'val', idx, data_batch)
        else:
            super().run_iter(idx, data_batch)


@LOOPS.register_module()
class PromptingTestLoop(TestLoop):
    """The same for tests.

    Args:
        runner: The runner.
        dataloader: Data loader, or its config.
        evaluator: Evaluator, or its config.
        protocol: See :class:`PromptingValLoop`.
        fp16: Whether to compute in half precision.
    """

    def __init__(
        self,
        runner: Runner,
        dataloader: DataLoader | dict[str, Any],
        evaluator: Evaluator | dict[str, Any] | list[Any],
        protocol: Any,
        fp16: bool = False,
    ) -> None:
        super().__init__(runner, dataloader, evaluator, fp16)
        self.protocol = _build_protocol(protocol)

    @torch.no_grad()
    def run_iter(self, idx: int, data_batch: dict[str, Any]) -> None:
        """Examine one batch."""
        if _is_examined(data_batch):
            _examine(self, 'test', idx, data_batch)
        else:
            super().run_iter(idx, data_batch)
